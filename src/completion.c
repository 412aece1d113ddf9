/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Completion scripts for the shells, written from the table of options when
 * nsntrace is built. The words after PROGRAM are left to its own completion.
 */
#include "options.h"

#include <string.h>

#include "option_table.h"

/* Which of the options are meant. */
typedef bool which(const struct option_entry *entry);

static bool is_any(const struct option_entry *entry)
{
	return entry->group;
}

static bool has_value(const struct option_entry *entry)
{
	return entry->group && entry->value;
}

/* Only after '=' is a word its value, and not PROGRAM. */
static bool has_optional_value(const struct option_entry *entry)
{
	return has_value(entry) && entry->value->optional;
}

/* The next word is its value. */
static bool takes_value(const struct option_entry *entry)
{
	return has_value(entry) && !entry->value->optional;
}

/* Print how to spell @entry, as "-o|-w|--outfile" with '|' as @separator. */
static void print_spellings(FILE *stream, const struct option_entry *entry,
			    const char *separator)
{
	for (const char *c = entry->letters; *c; c++)
		fprintf(stream, "-%c%s", *c, separator);
	fprintf(stream, "--%s", entry->name);
}

/* Print the spellings of all options that are @meant. */
static void print_all_spellings(FILE *stream, which *meant,
				const char *separator)
{
	const char *before = "";

	for (size_t i = 0; i < option_count; i++) {
		const struct option_entry *entry = &option_table[i];

		if (!meant(entry))
			continue;
		fputs(before, stream);
		print_spellings(stream, entry, separator);
		before = separator;
	}
}

/*
 * Bash splits "--format=pcap" into three words, hence the care with '='. The
 * loop finds PROGRAM, or the option whose value is under the cursor.
 */
static void print_bash(FILE *stream)
{
	fputs("# bash completion for nsntrace\n"
	      "_nsntrace()\n"
	      "{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]#=} option='' i\n"
	      "\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n"
	      "\t\t",
	      stream);
	print_all_spellings(stream, has_optional_value, "|");
	fputs(") [[ ${COMP_WORDS[i + 1]} = = ]] || continue ;;&\n"
	      "\t\t",
	      stream);
	print_all_spellings(stream, has_value, "|");
	fputs(")\n"
	      "\t\t\toption=${COMP_WORDS[i++]}\n"
	      "\t\t\t[[ ${COMP_WORDS[i]} != = ]] || ((i++))\n"
	      "\t\t\t((i < COMP_CWORD)) || break\n"
	      "\t\t\toption='' ;;\n"
	      "\t\t--) option=--; ((i++)); break ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) break ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tif ((i < COMP_CWORD)); then\n"
	      "\t\tdeclare -F _command_offset >/dev/null &&\n"
	      "\t\t\t_command_offset \"$i\"\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\n"
	      "\tset -- -c\n"
	      "\tcase $option in\n",
	      stream);
	for (size_t i = 0; i < option_count; i++) {
		const struct option_entry *entry = &option_table[i];

		if (!has_value(entry) || !entry->value->bash)
			continue;
		fputs("\t", stream);
		print_spellings(stream, entry, "|");
		fprintf(stream, ") set -- %s ;;\n", entry->value->bash);
	}
	fputs("\t-?*) [[ $option = -- ]] || return ;;\n"
	      "\t*) [[ $cur != -* ]] || set -- -W '",
	      stream);
	print_all_spellings(stream, is_any, " ");
	fputs("' ;;\n"
	      "\tesac\n"
	      "\t[[ $1 != -f ]] || compopt -o filenames 2>/dev/null\n"
	      "\tmapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\")\n"
	      "}\n"
	      "complete -F _nsntrace nsntrace\n",
	      stream);
}

/* A colon would end what _arguments calls a message. */
static void print_message(FILE *stream, const char *text)
{
	for (; *text; text++)
		fprintf(stream, *text == ':' ? "\\%c" : "%c", *text);
}

/* An argument of _arguments: spellings, of which one will do, help, value. */
static void print_zsh_option(FILE *stream, const struct option_entry *entry)
{
	const char *joined = takes_value(entry) ? "+" : "";
	const char *equals = takes_value(entry) ? "=" : "";

	if (has_optional_value(entry))
		equals = "=-";
	fputs("\t'(", stream);
	print_spellings(stream, entry, " ");
	fputs(")'", stream);
	if (*entry->letters) {
		fputs("{", stream);
		for (const char *c = entry->letters; *c; c++)
			fprintf(stream, "-%c%s,", *c, joined);
		fprintf(stream, "--%s%s}", entry->name, equals);
	} else {
		fprintf(stream, "--%s%s", entry->name, equals);
	}
	fprintf(stream, "'[%s]", entry->help);
	if (has_value(entry)) {
		fputs(takes_value(entry) ? ":" : "::", stream);
		print_message(stream, entry->value->name);
		fprintf(stream, ":%s", entry->value->zsh);
	}
	fputs("' \\\n", stream);
}

static void print_zsh(FILE *stream)
{
	fputs("#compdef nsntrace\n"
	      "_arguments -s -S -A '-*' \\\n",
	      stream);
	for (size_t i = 0; i < option_count; i++)
		if (is_any(&option_table[i]))
			print_zsh_option(stream, &option_table[i]);
	fputs("\t'(-)1:program:_command_names -e' \\\n"
	      "\t'*::argument:_normal'\n",
	      stream);
}

/* The function keeps our options out of the words after PROGRAM. */
static void print_fish(FILE *stream)
{
	fputs("# fish completion for nsntrace\n"
	      "function __nsntrace_before_program\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tset -e words[1]\n"
	      "\twhile set -q words[1]\n"
	      "\t\tif contains -- $words[1] ",
	      stream);
	print_all_spellings(stream, takes_value, " ");
	fputs("\n"
	      "\t\t\tset -e words[1]\n"
	      "\t\telse if test \"$words[1]\" = --; or not string match -q -- "
	      "'-*' $words[1]\n"
	      "\t\t\treturn 1\n"
	      "\t\tend\n"
	      "\t\tset -e words[1]\n"
	      "\tend\n"
	      "end\n"
	      "complete -c nsntrace -x -a '(__fish_complete_subcommand -- ",
	      stream);
	print_all_spellings(stream, takes_value, " ");
	fputs(")'\n", stream);
	for (size_t i = 0; i < option_count; i++) {
		const struct option_entry *entry = &option_table[i];

		if (!is_any(entry))
			continue;
		fputs("complete -c nsntrace -n __nsntrace_before_program",
		      stream);
		for (const char *c = entry->letters; *c; c++)
			fprintf(stream, " -s %c", *c);
		fprintf(stream, " -l %s -d '%s'", entry->name, entry->help);
		if (has_value(entry))
			fprintf(stream, " %s", entry->value->fish);
		fputs("\n", stream);
	}
}

/* clang-format off */
static const struct {
	const char *name;
	void (*print)(FILE *stream);
} shells[] = {
	{ "bash", print_bash },
	{ "zsh", print_zsh },
	{ "fish", print_fish },
};
/* clang-format on */

/*
 * Print the completion script for @shell to @stream. Returns 0, or a negative
 * errno, reported, for a shell that is not known.
 */
int options_completion(const char *shell, FILE *stream)
{
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
		if (strcmp(shells[i].name, shell) != 0)
			continue;
		shells[i].print(stream);
		return 0;
	}

	return refuse("--completion takes bash|zsh|fish, not '%s'", shell);
}
