/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --doctor: whether a run would work on this host, one line for each thing that
 * it needs. Each is done, not looked up, by a process that then ends: whatever
 * it has unshared, opened or lowered goes with it, and one that crashes or
 * hangs is only one line. What is done is left to the checks, which report it
 * in the very words of a run.
 */
#include "doctor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "doctor_checks.h"
#include "front.h"
#include "json.h"

/* How long one check may take; none of those that wait does so for longer. */
#define PATIENCE_MS 20000

enum grade {
	GRADE_OK,
	GRADE_WARNING,
	GRADE_PROBLEM,
};

static const char *const grade_names[] = {
	[GRADE_OK] = "ok",
	[GRADE_WARNING] = "warning",
	[GRADE_PROBLEM] = "problem",
};

/* What came of a check. Fits into a pipe as a whole. */
struct finding {
	enum grade grade;
	char text[512];
	char hint[512];
};

enum need {
	NEEDED,
	BETTER,	      /* a run can do without */
	FOR_LOSSLESS, /* but not with --lossless */
};

#define AFTER_MAX 2

struct check {
	const char *name;
	enum need need;
	bool uplink; /* not asked for by a run without a way out */
	doctor_check *check;
	const char *after[AFTER_MAX]; /* what must be well to try it at all */
	const char *hint;	      /* where the check has none */
};

/* clang-format off */
static const struct check checks[] = {
	{ "rights", NEEDED, false, check_rights, { NULL },
	  "run it as root, in a container with more capabilities" },
	{ "namespace", NEEDED, false, check_netns, { "rights" },
	  "it takes a kernel with CONFIG_NET_NS, and a container that allows "
	  "it" },
	{ "veth", NEEDED, true, check_veth, { "namespace" },
	  "load the module: modprobe veth" },
	{ "nftables", NEEDED, true, check_nftables, { "namespace" },
	  "load the modules: modprobe -a nf_tables nft_chain_nat nft_masq" },
	{ "owner", BETTER, true, check_owner, { "nftables" },
	  "it takes Linux 5.12" },
	{ "silence", BETTER, true, check_silence, { "nftables" },
	  "it takes Linux 5.16 with CONFIG_NETFILTER_EGRESS" },
	{ "counters", BETTER, true, check_counters, { "nftables" },
	  "load the module: modprobe nft_quota" },
	{ "capture", NEEDED, false, check_capture, { "namespace" },
	  "it takes a kernel with CONFIG_PACKET, and memory: -B takes less" },
	{ "sockets", NEEDED, false, check_sockets, { "namespace" },
	  "load the modules: modprobe -a inet_diag tcp_diag udp_diag" },
	{ "pidfd", NEEDED, false, check_pidfd, { NULL },
	  "it takes Linux 5.3" },
	{ "cgroup", BETTER, false, check_cgroup, { "rights" },
	  "it takes cgroup v2 of Linux 5.14, mounted and writable" },
	{ "freezer", FOR_LOSSLESS, false, check_freezer, { "rights" },
	  "--lossless takes cgroup v2 of Linux 5.14, or the freezer of v1, "
	  "mounted and writable" },
	{ "sandbox", NEEDED, false, check_sandbox, { "rights" },
	  "it takes a kernel with CONFIG_SECCOMP_FILTER" },
	{ "priority", BETTER, false, check_priority, { NULL },
	  "it takes cap_sys_nice, and a cgroup that has a share of real time" },
	{ "descriptors", NEEDED, false, check_descriptors, { NULL },
	  "raise the limit: ulimit -n 1024" },
	{ "threads", NEEDED, false, check_threads, { "rights" },
	  "raise the limit of processes: ulimit -u" },
	{ "memory", BETTER, false, check_memory, { NULL },
	  "raise the limit (ulimit -v), or ask for less by --queue-size" },
	{ "route", NEEDED, true, check_route, { NULL },
	  "with -d lo the program runs without a way out" },
	{ "ipv6", BETTER, true, check_ipv6, { "route" },
	  "it takes Linux 6.17, or a host that is an IPv6 router already" },
	{ "forwarding", NEEDED, true, check_forwarding, { "rights", "route" },
	  "/proc/sys must be writable, or net.ipv4.ip_forward be 1: docker run "
	  "--sysctl net.ipv4.ip_forward=1" },
	{ "addresses", NEEDED, true, check_addresses, { "route" },
	  "take away one of the routes" },
	{ "firewall", BETTER, true, check_firewall, { "rights" },
	  "let the interfaces nsn-* through, both ways" },
	{ "names", BETTER, true, check_names, { NULL },
	  "--dns or --use-public-dns name other servers" },
	{ "mounts", NEEDED, false, check_mounts, { "rights", "route" },
	  "the container must allow mounts" },
	{ "ports", NEEDED, false, check_ports, { "rights", "route" },
	  "end who has it, or take another one" },
	{ "records", BETTER, false, check_records, { "rights" },
	  "make /run writable, or a run leaves forwarding as it has set it" },
	{ "leftovers", BETTER, false, check_leftovers, { "rights" },
	  "nsntrace --cleanup puts it back" },
	{ "output", NEEDED, false, check_output, { NULL },
	  "-o names another file" },
};
/* clang-format on */

#define COUNT (sizeof(checks) / sizeof(*checks))

/* All of it together, when nothing is known to be in its way. */
static const struct check trial = {
	.name = "run",
	.need = NEEDED,
	.check = check_run,
	.hint = "please report this with all of these lines",
};

static void copy(char *to, size_t size, const char *line, const char *prefix)
{
	size_t length = strlen(prefix);

	if (!strncmp(line, prefix, length))
		line += length;
	snprintf(to, size, "%.*s", (int)strcspn(line, "\n"), line);
}

/* A line of a check's: the first of the gravest kind counts. */
static void hear(enum log_level level, const char *line, void *context)
{
	static const char hint[] = "nsntrace: hint: ";
	struct finding *finding = context;

	if (!strncmp(line, hint, strlen(hint))) {
		if (!*finding->hint)
			copy(finding->hint, sizeof(finding->hint), line, hint);
		return;
	}
	if (level == LOG_LEVEL_ERROR && finding->grade < GRADE_PROBLEM) {
		finding->grade = GRADE_PROBLEM;
		copy(finding->text, sizeof(finding->text), line, "nsntrace: ");
	} else if (level == LOG_LEVEL_WARNING &&
		   finding->grade < GRADE_WARNING) {
		finding->grade = GRADE_WARNING;
		copy(finding->text, sizeof(finding->text), line,
		     "nsntrace: warning: ");
	} else if (level == LOG_LEVEL_NOTE && !*finding->text) {
		copy(finding->text, sizeof(finding->text), line, "");
	}
}

/* In the child. */
static void do_check(const struct check *check, const struct options *options,
		     int answer)
{
	struct finding finding = { .grade = GRADE_OK };

	log_set_level(LOG_LEVEL_NOTE);
	log_set_sink(hear, &finding);
	check->check(options);
	if (write(answer, &finding, sizeof(finding)) < 0)
		_exit(1);
	_exit(0);
}

static void find(struct finding *finding, enum grade grade, const char *fmt,
		 ...) __attribute__((format(printf, 3, 4)));

static void find(struct finding *finding, enum grade grade, const char *fmt,
		 ...)
{
	va_list args;

	*finding = (struct finding){ .grade = grade };
	va_start(args, fmt);
	vsnprintf(finding->text, sizeof(finding->text), fmt, args);
	va_end(args);
}

static void await_answer(pid_t pid, int answer, struct finding *finding)
{
	struct pollfd readable = { .fd = answer, .events = POLLIN };
	int wstatus = 0;
	bool late = poll(&readable, 1, PATIENCE_MS) == 0;
	ssize_t got = late ? 0 : read(answer, finding, sizeof(*finding));

	if (late)
		kill(pid, SIGKILL);
	waitpid(pid, &wstatus, 0);
	if (got == sizeof(*finding))
		return;
	if (late)
		find(finding, GRADE_PROBLEM, "not done after %d seconds",
		     PATIENCE_MS / 1000);
	else
		find(finding, GRADE_PROBLEM,
		     "ended without an answer, by %s %d",
		     WIFSIGNALED(wstatus) ? "signal" : "status",
		     WIFSIGNALED(wstatus) ? WTERMSIG(wstatus)
					  : WEXITSTATUS(wstatus));
}

static void try(const struct check *check, const struct options *options,
		struct finding *finding)
{
	autoclose int answer = -1;
	int pipes[2];
	pid_t pid;

	if (pipe(pipes) < 0) {
		find(finding, GRADE_PROBLEM, "cannot make a pipe: %s",
		     strerror(errno));
		return;
	}
	answer = pipes[0];
	pid = fork();
	if (!pid) {
		close(answer);
		do_check(check, options, pipes[1]);
	}
	close(pipes[1]);
	if (pid < 0)
		find(finding, GRADE_PROBLEM, "cannot fork: %s",
		     strerror(errno));
	else
		await_answer(pid, answer, finding);
}

/* What is wrong with something that a run can do without is no problem. */
static void judge(const struct check *check, const struct options *options,
		  struct finding *finding)
{
	bool needed = check->need == NEEDED ||
		      (check->need == FOR_LOSSLESS && options->lossless);

	if (finding->grade == GRADE_PROBLEM && !needed)
		finding->grade = GRADE_WARNING;
	if (finding->grade == GRADE_OK)
		*finding->hint = '\0';
	else if (!*finding->hint)
		snprintf(finding->hint, sizeof(finding->hint), "%s",
			 check->hint);
}

static void print_text(const struct check *check, const struct finding *finding)
{
	printf("%-8s %s: %s%s%s\n", grade_names[finding->grade], check->name,
	       finding->text, *finding->hint ? "; " : "", finding->hint);
}

static void print_json(const struct check *check, const struct finding *finding)
{
	const char *const members[][2] = {
		{ "name", check->name },
		{ "status", grade_names[finding->grade] },
		{ "text", finding->text },
		{ "hint", finding->hint },
	};

	fputs(check == checks ? "[" : ",\n ", stdout);
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		printf("%s\"%s\": ", i ? ", " : "{", members[i][0]);
		json_string(stdout, members[i][1]);
	}
	printf("}");
}

static void print(const struct check *check, const struct options *options,
		  const struct finding *finding)
{
	if (options->action == ACTION_DOCTOR_JSON)
		print_json(check, finding);
	else
		print_text(check, finding);
	/* Some take their time, and a child must not print it again. */
	fflush(stdout);
}

/* What @check comes after and was not well, or NULL. */
static const char *obstacle(const struct check *check, const bool *well)
{
	for (size_t i = 0; i < AFTER_MAX && check->after[i]; i++) {
		for (size_t j = 0; j < COUNT; j++) {
			if (!strcmp(checks[j].name, check->after[i]) &&
			    !well[j])
				return check->after[i];
		}
	}

	return NULL;
}

/*
 * Check all that a run with these @options needs, and print what was found.
 * Nothing of the host is changed. Returns the exit status: 0 if a run would
 * work.
 */
int doctor(const struct options *options)
{
	bool well[COUNT] = { false };
	struct finding finding;
	unsigned problems = 0;

	for (size_t i = 0; i < COUNT; i++) {
		const struct check *check = &checks[i];
		const char *missing = obstacle(check, well);

		well[i] = true;
		if (check->uplink && options->engine == ENGINE_NONE)
			continue;
		if (missing) {
			find(&finding, GRADE_WARNING, "not tried");
			snprintf(finding.hint, sizeof(finding.hint),
				 "see \"%s\"", missing);
		} else {
			try(check, options, &finding);
			judge(check, options, &finding);
		}
		well[i] = !missing && finding.grade != GRADE_PROBLEM;
		problems += finding.grade == GRADE_PROBLEM;
		print(check, options, &finding);
	}
	if (problems) {
		find(&finding, GRADE_PROBLEM, "would fail");
		snprintf(finding.hint, sizeof(finding.hint),
			 "see what is called a problem above");
	} else {
		try(&trial, options, &finding);
		judge(&trial, options, &finding);
		problems = finding.grade == GRADE_PROBLEM;
	}
	print(&trial, options, &finding);
	if (options->action == ACTION_DOCTOR_JSON)
		printf("]\n");

	/* What has been flushed is not told of again. */
	return fflush(stdout) || ferror(stdout) || problems ? STATUS_FAILED : 0;
}
