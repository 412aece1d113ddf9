# SPDX-License-Identifier: GPL-2.0-or-later

# NSNTRACE_COMPILER_FLAGS(VARIABLE, FLAGS)
# Set VARIABLE to those of FLAGS that the compiler takes without a word, beside
# what the user gave: _FORTIFY_SOURCE, say, warns when CFLAGS do not optimize.
AC_DEFUN([NSNTRACE_COMPILER_FLAGS], [
	AC_SUBST([$1])
	m4_foreach_w([nsntrace_flag], [$2], [
		_NSNTRACE_TRY_FLAG([compiler], [$1], m4_defn([nsntrace_flag]),
			[CFLAGS], [AC_COMPILE_IFELSE])
	])
])

# NSNTRACE_LINKER_FLAGS(VARIABLE, FLAGS)
# The same for the linker.
AC_DEFUN([NSNTRACE_LINKER_FLAGS], [
	AC_SUBST([$1])
	m4_foreach_w([nsntrace_flag], [$2], [
		_NSNTRACE_TRY_FLAG([linker], [$1], m4_defn([nsntrace_flag]),
			[LDFLAGS], [AC_LINK_IFELSE])
	])
])

# _NSNTRACE_TRY_FLAG(TOOL, VARIABLE, FLAG, FLAGS-VARIABLE, TEST-MACRO)
AC_DEFUN([_NSNTRACE_TRY_FLAG], [
	AC_MSG_CHECKING([whether the $1 takes $3])
	nsntrace_saved_CFLAGS=$CFLAGS
	nsntrace_saved_LDFLAGS=$LDFLAGS
	CFLAGS="$CFLAGS -Werror"
	$4="$$4 $3"
	$5([AC_LANG_PROGRAM([[#include <stdio.h>]], [[puts("");]])],
		[AC_MSG_RESULT([yes])
		 $2="$$2 $3"],
		[AC_MSG_RESULT([no])])
	CFLAGS=$nsntrace_saved_CFLAGS
	LDFLAGS=$nsntrace_saved_LDFLAGS
])

# NSNTRACE_COMPLETION_DIR(SHELL, DEFAULT)
# Where completions for SHELL go: DEFAULT is below datadir.
AC_DEFUN([NSNTRACE_COMPLETION_DIR], [
	AC_ARG_WITH([$1-completion-dir],
		[AS_HELP_STRING([--with-$1-completion-dir=DIR],
			[completions for $1 @<:@DATADIR/$2@:>@])],
		[], [with_$1_completion_dir='${datadir}/$2'])
	AC_SUBST([$1compdir], [$with_$1_completion_dir])
])
