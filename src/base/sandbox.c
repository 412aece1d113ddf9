/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holding a process that has given up its rights to the system calls that it
 * needs, by seccomp(2): whoever makes another one says so, and dies. Which ones
 * these are is told by sandbox_rules.c, the rights are left to rights.c.
 */
#include "base/sandbox.h"

#ifdef WITHOUT_SECCOMP

/* Built --without-seccomp: all calls stay. Returns 0. */
int sandbox_enter(enum sandbox_process process)
{
	(void)process;

	return 0;
}

#else

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sandbox_rules.h"
#include "base/syscall_names.h"

/* Linux 3.5; glibc has no name for it. */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

static const char *const processes[] = {
	[SANDBOX_FRONT] = "front",
	[SANDBOX_TRACER] = "tracer",
	[SANDBOX_RELAY] = "relay",
};

/* Instructions that a list may take; it takes a quarter of that. */
#define PROGRAM_MAX 1024

/* What comes before those that libseccomp makes. */
#define PROLOGUE    5

struct program {
	unsigned short length;
	struct sock_filter instructions[PROGRAM_MAX];
};

static int add_rule(scmp_filter_ctx filter, uint32_t action,
		    const struct sandbox_rule *rule)
{
	const struct scmp_arg_cmp condition = {
		.arg = rule->argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = rule->mask,
		.datum_b = rule->value == SANDBOX_OWN_PID ? (uint32_t)getpid()
							  : rule->value,
	};
	int number = seccomp_syscall_resolve_name(rule->call);

	/* Nobody here calls what this libseccomp does not know. */
	if (number == __NR_SCMP_ERROR)
		return 0;

	return seccomp_rule_add_array(filter, action, number,
				      rule->mask ? 1 : 0, &condition);
}

static int add_rules(scmp_filter_ctx filter, enum sandbox_process process,
		     uint32_t action, const struct sandbox_rule *rule)
{
	int ret = 0;

	for (; rule->call && !ret; rule++)
		if (rule->who & 1U << process)
			ret = add_rule(filter, action, rule);

	return ret;
}

/*
 * Newer calls are none that we know: libseccomp cannot say so, as its rules are
 * of single calls. Those of another architecture's are left to what follows.
 */
static void put_prologue(struct program *program)
{
	int newest = seccomp_syscall_resolve_name(SANDBOX_NEWEST);
	const struct sock_filter prologue[PROLOGUE] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0,
			 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)newest, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};

	memcpy(program->instructions, prologue, sizeof(prologue));
}

/* libseccomp gives its program to a descriptor only. */
static int take_program(scmp_filter_ctx filter, struct program *program)
{
	autoclose int fd = memfd_create("sandbox", MFD_CLOEXEC);
	size_t room = sizeof(program->instructions) -
		      PROLOGUE * sizeof(*program->instructions);
	ssize_t size;
	int ret;

	if (fd < 0)
		return -errno;
	ret = seccomp_export_bpf(filter, fd);
	if (ret < 0)
		return ret;
	size = pread(fd, program->instructions + PROLOGUE, room, 0);
	if (size < 0)
		return -errno;
	if ((size_t)size == room)
		return -E2BIG;
	program->length =
		(unsigned short)(PROLOGUE +
				 (size_t)size / sizeof(struct sock_filter));

	return 0;
}

static int make_program(enum sandbox_process process, struct program *program)
{
	scmp_filter_ctx filter;
	int ret;

	/* Linux 4.14: what libseccomp would take ten system calls to find. */
	seccomp_api_set(3);
	filter = seccomp_init(SCMP_ACT_TRAP);
	if (!filter)
		return -ENOMEM;
	ret = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
			       SCMP_ACT_KILL_PROCESS);
	if (!ret)
		ret = add_rules(filter, process, SCMP_ACT_ALLOW,
				sandbox_allowed);
	if (!ret)
		ret = add_rules(filter, process, SCMP_ACT_ERRNO(ENOSYS),
				sandbox_denied);
	if (!ret)
		ret = take_program(filter, program);
	seccomp_release(filter);
	put_prologue(program);

	return ret;
}

/* No code of others runs here that speculation could show anything. */
static int install(struct program *program)
{
	const struct sock_fprog filter = {
		.len = program->length,
		.filter = program->instructions,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		    SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) == 0)
		return 0;
	if (errno != ENOSYS && errno != EINVAL)
		return -errno;
	debug("this kernel cannot restrict system calls");

	return 0;
}

/* For the line that the dying say; there is one such process in a process. */
static enum sandbox_process own;

static const char *name_of(int number)
{
	const struct syscall_name *call = syscall_names;

	while (call->name && call->number != number)
		call++;

	return call->name ? call->name : "of an unknown number";
}

/*
 * The kernel did not make a call that is not on the list. This may be in the
 * midst of anything, so that only what is safe in a handler is called: the line
 * is put together by hand and goes out by one system call or a few.
 */
static void hear_refusal(int signo, siginfo_t *info, void *context)
{
	char line[256];
	char *end;

	(void)context;
	/* Somebody sent it, who may as well have sent any other. */
	if (info->si_code != SYS_SECCOMP)
		return;
	/* If one of the calls that follow is refused, that is the end. */
	signal(signo, SIG_DFL);
	end = stpcpy(line, "nsntrace: the ");
	end = stpcpy(end, processes[own]);
	end = stpcpy(end, " process tried the system call ");
	end = stpcpy(end, name_of(info->si_syscall));
	stpcpy(end, ", which it never makes: please report this\n");
	log_line(LOG_LEVEL_ERROR, line);
	raise(signo);
}

/*
 * A signal that is blocked, as all are here, the kernel turns into death at
 * once; so it is, without a word, while the C library has all of them blocked.
 */
static int await_refusals(enum sandbox_process process)
{
	const struct sigaction action = {
		.sa_sigaction = hear_refusal,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART,
	};
	sigset_t set;

	own = process;
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	if (sigaction(SIGSYS, &action, NULL) < 0 ||
	    sigprocmask(SIG_UNBLOCK, &set, NULL) < 0)
		return -errno;

	return 0;
}

/*
 * Hold the calling thread, and those that it will make, to the calls that are
 * on the list of @process, for good. To be called when rights_drop_all() was:
 * only with no_new_privs may one do so without rights. Takes 0.2 ms, most of it
 * in libseccomp.
 *
 * A kernel without seccomp(2) is no reason not to run. Returns 0, or a negative
 * errno already reported.
 */
int sandbox_enter(enum sandbox_process process)
{
	struct program *program = xcalloc(1, sizeof(*program));
	int ret = make_program(process, program);

	if (!ret)
		ret = await_refusals(process);
	if (!ret)
		ret = install(program);
	free(program);
	if (ret < 0)
		return fail(-ret,
			    "cannot restrict the system calls of the %s "
			    "process",
			    processes[process]);

	return 0;
}

#endif
