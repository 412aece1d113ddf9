/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compiling the capture filter, before anything is built. libpcap's compiler
 * reads text that somebody chose and may look up names in the network, so it
 * runs in a short-lived child with the rights of who invoked us, which sends
 * back nothing but instructions, or the reason why there are none.
 */
#include "filter.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* Linux takes no longer socket filters (BPF_MAXINSNS). */
#define INSTRUCTIONS_MAX 4096

/* The child's one datagram: whether it could, and instructions or the reason.
 */
struct answer {
	bool compiled;
	char text[INSTRUCTIONS_MAX * sizeof(struct bpf_insn) + 1];
};

#define ANSWER_HEAD offsetof(struct answer, text)

/* The child's status where it has said itself why there is no answer. */
#define HAS_TOLD 125

static void give_up(int err)
{
	fail(err, "cannot compile the filter");
	_exit(HAS_TOLD);
}

static void answer(int fd, bool compiled, const void *text, size_t size)
{
	struct answer *message = xcalloc(1, sizeof(*message));

	message->compiled = compiled;
	memcpy(message->text, text, size);
	if (send(fd, message, ANSWER_HEAD + size, MSG_NOSIGNAL) < 0)
		give_up(errno);
	_exit(0);
}

/* In the child: compile, answer, and end. */
static void compile(const char *expression, uint32_t snaplen,
		    const struct identity *as, int fd)
{
	struct bpf_program program;
	const char *reason;
	pcap_t *dead;

	if (rights_drop_all(as) < 0)
		_exit(HAS_TOLD);
	dead = pcap_open_dead(DLT_EN10MB, (int)snaplen);
	if (!dead)
		give_up(ENOMEM);
	if (pcap_compile(dead, &program, expression, 1, PCAP_NETMASK_UNKNOWN) <
	    0) {
		reason = pcap_geterr(dead);
		answer(fd, false, reason, strlen(reason));
	}
	if (program.bf_len > INSTRUCTIONS_MAX) {
		reason = "it has more instructions than the kernel takes";
		answer(fd, false, reason, strlen(reason));
	}
	answer(fd, true, program.bf_insns,
	       program.bf_len * sizeof(struct bpf_insn));
}

static int receive(int fd, pid_t child, const char *expression,
		   void **instructions, unsigned *count)
{
	autofree struct answer *message = xcalloc(1, sizeof(*message));
	ssize_t size = recv(fd, message, sizeof(*message) - 1, 0);
	int err = errno;
	int wstatus = 0;

	waitpid(child, &wstatus, 0);
	if (size < 0)
		return fail(err, "cannot compile filter '%s'", expression);
	if (!size && WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == HAS_TOLD)
		return -EIO;
	if (size < (ssize_t)ANSWER_HEAD)
		return refuse("cannot compile filter '%s': the process that "
			      "does it died",
			      expression);
	if (!message->compiled) {
		refuse("cannot compile filter '%s': %s", expression,
		       message->text);
		hint("pcap-filter(7) tells what a filter looks like");
		return -EINVAL;
	}

	size -= (ssize_t)ANSWER_HEAD;
	*count = (unsigned)((size_t)size / sizeof(struct bpf_insn));
	*instructions = xcalloc(1, (size_t)size);
	memcpy(*instructions, message->text, (size_t)size);

	return 0;
}

/*
 * Compile a pcap-filter(7) expression for Ethernet frames, with the rights of
 * @as. The caller frees *@instructions, which are laid out as struct
 * sock_filter. Returns 0, or a negative errno already reported.
 */
int filter_compile(const char *expression, uint32_t snaplen,
		   const struct identity *as, void **instructions,
		   unsigned *count)
{
	autoclose int ours = -1;
	autoclose int theirs = -1;
	int pair[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(errno, "cannot make a socket pair");
	ours = pair[0];
	theirs = pair[1];

	child = fork();
	if (child < 0)
		return fail(errno, "cannot fork");
	if (!child)
		compile(expression, snaplen, as, theirs);
	/* Else an end of the child would not be seen. */
	fd_close(&theirs);

	return receive(ours, child, expression, instructions, count);
}
