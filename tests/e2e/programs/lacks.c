/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lacks WHAT[,WHAT]... PROGRAM [ARGUMENT]...: run a program as on a kernel that
 * has less than this one. Calls that it lacks are refused (seccomp). A process
 * that asks for more than that is held (seccomp_unotify) while somebody looks:
 * there is no such file, or its message is sent as one that no kernel knows,
 * and that this one turns down as the other would.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define NOTHING	       0x40  /* no flag, no hook, no object of nftables */
#define NOBODYS_FAMILY AF_IB /* has neither addresses, routes nor tables */
#define FIRST_AFTER_61 451   /* cachestat(2), on every architecture */

static bool is_nft(const struct nlmsghdr *message, uint16_t type)
{
	return message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | type);
}

static uint8_t *family_of(const struct nlmsghdr *message)
{
	return mnl_nlmsg_get_payload(message);
}

static void forge_number(const struct nlattr *attr)
{
	*(uint32_t *)mnl_attr_get_payload(attr) = htonl(NOTHING);
}

/* Tables that die with a socket. */
static void forge_owner(const struct nlmsghdr *message)
{
	const struct nlattr *attr;

	if (!is_nft(message, NFT_MSG_NEWTABLE))
		return;
	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == NFTA_TABLE_FLAGS &&
		    mnl_attr_get_u32(attr) & htonl(NFT_TABLE_F_OWNER))
			forge_number(attr);
	}
}

/* The hook by which all that leaves an interface goes. */
static void forge_egress(const struct nlmsghdr *message)
{
	const struct nlattr *attr, *part;

	if (!is_nft(message, NFT_MSG_NEWCHAIN) ||
	    *family_of(message) != NFPROTO_NETDEV)
		return;
	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) != NFTA_CHAIN_HOOK)
			continue;
		mnl_attr_for_each_nested (part, attr) {
			if (mnl_attr_get_type(part) == NFTA_HOOK_HOOKNUM)
				forge_number(part);
		}
	}
}

/* All tables of devices. */
static void forge_netdev(const struct nlmsghdr *message)
{
	if (is_nft(message, NFT_MSG_NEWTABLE) &&
	    *family_of(message) == NFPROTO_NETDEV)
		*family_of(message) = NOBODYS_FAMILY;
}

static void forge_quota(const struct nlmsghdr *message)
{
	const struct nlattr *attr;

	if (!is_nft(message, NFT_MSG_NEWOBJ))
		return;
	mnl_attr_for_each (attr, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == NFTA_OBJ_TYPE)
			forge_number(attr);
	}
}

static void forge_ipv6(const struct nlmsghdr *message)
{
	if (message->nlmsg_type >= RTM_BASE && message->nlmsg_type <= RTM_MAX &&
	    *family_of(message) == AF_INET6)
		*family_of(message) = NOBODYS_FAMILY;
}

/* What may be lacking; what has several sides has several rows. */
static const struct lack {
	const char *name;
	const char *path; /* a file with this in its path is not there */
	void (*forge)(const struct nlmsghdr *message);
	int call; /* fails with @error if @argument is @value */
	int argument;
	int value;
	int error;
	int calls_from; /* none with a higher number exists */
} lacks[] = {
	{ .name = "owner", .forge = forge_owner },
	{ .name = "egress", .forge = forge_egress },
	{ .name = "netdev", .forge = forge_netdev },
	{ .name = "quota", .forge = forge_quota },
	{ .name = "force_forwarding", .path = "/force_forwarding" },
	{ .name = "cgroup.kill", .path = "cgroup.kill" },
	{ .name = "cookie",
	  .call = SYS_getsockopt,
	  .argument = 2,
	  .value = SO_NETNS_COOKIE,
	  .error = ENOPROTOOPT },
	{ .name = "ipv6", .path = "/proc/sys/net/ipv6", .forge = forge_ipv6 },
	{ .name = "ipv6", .path = "/proc/net/if_inet6" },
	{ .name = "ipv6",
	  .call = SYS_socket,
	  .argument = 0,
	  .value = AF_INET6,
	  .error = EAFNOSUPPORT },
	{ .name = "6.2", .calls_from = FIRST_AFTER_61 },
};

static bool wanted[COUNT(lacks)];

static bool choose(char *names)
{
	for (char *name; (name = strsep(&names, ","));) {
		bool known = false;

		for (size_t i = 0; i < COUNT(lacks); i++) {
			if (strcmp(name, lacks[i].name) != 0)
				continue;
			wanted[i] = known = true;
		}
		if (!known)
			return false;
	}

	return true;
}

/* Which calls somebody looks at: those with a path, and those to netlink. */
static const struct look {
	int call;
	int path; /* the argument with a path, or -1 */
} looks[] = {
	{ SYS_openat, 1 },     { SYS_faccessat, 1 }, { SYS_faccessat2, 1 },
	{ SYS_newfstatat, 1 }, { SYS_sendto, -1 },
#ifdef SYS_access
	{ SYS_access, 0 },
#endif
};

/* A filter that grows. */
static struct sock_filter code[256];
static unsigned short length;

static void emit(const struct sock_filter *block, size_t count)
{
	memcpy(code + length, block, count * sizeof(*block));
	length += (unsigned short)count;
}

/* @action for the call if the low half of an argument is what it must be. */
static void emit_call(int call, int argument, int value, uint32_t action)
{
	const uint32_t at = (uint32_t)(offsetof(struct seccomp_data, args) +
				       sizeof(uint64_t) * (size_t)argument);
	const struct sock_filter block[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
	};

	emit(block, COUNT(block));
}

/* @action for the call, or for all from that on. */
static void emit_calls(int call, bool from, uint32_t action)
{
	const struct sock_filter block[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | (from ? BPF_JGE : BPF_JEQ) | BPF_K,
			 (uint32_t)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
	};

	emit(block, COUNT(block));
}

/* Returns a descriptor by which those who are held are told of, or -1. */
static int install_filter(void)
{
	const struct sock_filter allow =
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { .filter = code };

	for (size_t i = 0; i < COUNT(lacks); i++) {
		const struct lack *lack = &lacks[i];

		if (wanted[i] && lack->error)
			emit_call(lack->call, lack->argument, lack->value,
				  SECCOMP_RET_ERRNO | (uint32_t)lack->error);
		if (wanted[i] && lack->calls_from)
			emit_calls(lack->calls_from, true,
				   SECCOMP_RET_ERRNO | ENOSYS);
	}
	for (size_t i = 0; i < COUNT(looks); i++) {
		if (looks[i].path >= 0)
			emit_calls(looks[i].call, false,
				   SECCOMP_RET_USER_NOTIF);
		else /* to an address of netlink's, by its size */
			emit_call(looks[i].call, 5, sizeof(struct sockaddr_nl),
				  SECCOMP_RET_USER_NOTIF);
	}
	emit(&allow, 1);
	filter.len = length;

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
}

static bool is_lacking(int memory, uint64_t path)
{
	char text[4096] = "";

	if (pread(memory, text, sizeof(text) - 1, (off_t)path) < 0)
		return false;
	for (size_t i = 0; i < COUNT(lacks); i++) {
		if (wanted[i] && lacks[i].path && strstr(text, lacks[i].path))
			return true;
	}

	return false;
}

static void forge(uint8_t *bytes, int size)
{
	const struct nlmsghdr *message = (struct nlmsghdr *)bytes;

	for (; mnl_nlmsg_ok(message, size);
	     message = mnl_nlmsg_next(message, &size)) {
		for (size_t i = 0; i < COUNT(lacks); i++) {
			if (wanted[i] && lacks[i].forge)
				lacks[i].forge(message);
		}
	}
}

/*
 * Send the messages in its place if some must be forged: what it has itself is
 * left alone. Returns what sendto(2) does, -errno, or 0 if none must be.
 */
static int64_t send_forged(int memory, const struct seccomp_notif *held)
{
	static uint8_t bytes[1 << 20],
		forged[sizeof(bytes)] __attribute__((aligned(MNL_ALIGNTO)));
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const struct seccomp_data *call = &held->data;
	ssize_t size =
		pread(memory, bytes, sizeof(bytes), (off_t)call->args[1]);
	int pidfd, fd;

	if (size < (ssize_t)call->args[2])
		return 0;
	size = (ssize_t)call->args[2];
	memcpy(forged, bytes, (size_t)size);
	forge(forged, (int)size);
	if (!memcmp(forged, bytes, (size_t)size))
		return 0;
	pidfd = (int)syscall(SYS_pidfd_open, held->pid, 0);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)call->args[0], 0);
	size = sendto(fd, forged, (size_t)size, (int)call->args[3],
		      (const struct sockaddr *)&kernel, sizeof(kernel));
	if (size < 0)
		size = -errno;
	close(fd);
	close(pidfd);

	return size;
}

/* Deal with one call: what it gets, or that the kernel is to see to it. */
static void answer(const struct seccomp_notif *held,
		   struct seccomp_notif_resp *reply)
{
	const struct seccomp_data *call = &held->data;
	char name[32];
	int memory;

	reply->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	snprintf(name, sizeof(name), "/proc/%d/mem", (int)held->pid);
	memory = open(name, O_RDONLY | O_CLOEXEC);
	if (memory < 0)
		return; /* it was killed meanwhile */
	for (size_t i = 0; i < COUNT(looks); i++) {
		int64_t got = 0;

		if (call->nr != looks[i].call)
			continue;
		if (looks[i].path < 0)
			got = send_forged(memory, held);
		else if (is_lacking(memory, call->args[looks[i].path]))
			got = -ENOENT;
		if (!got)
			continue;
		reply->flags = 0;
		reply->val = got > 0 ? got : 0;
		reply->error = got < 0 ? (int)got : 0;
	}
	close(memory);
}

/* Until nobody is left who could be held. */
static void serve(int listener)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };

	while (poll(&ready, 1, -1) > 0 && ready.revents & POLLIN) {
		struct seccomp_notif held = { 0 };
		struct seccomp_notif_resp reply = { 0 };

		/* Either fails if it was killed meanwhile. */
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &held) < 0)
			continue;
		reply.id = held.id;
		answer(&held, &reply);
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
	}
}

/* The one who looks is nobody's child, and holds nothing of the program's. */
static void start_looking(pid_t pid, int channel)
{
	int listener, pidfd;

	if (fork()) {
		wait(NULL);
		return;
	}
	if (fork())
		_exit(0);
	setsid();
	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (read(channel, &listener, sizeof(listener)) != sizeof(listener))
		_exit(1);
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, listener, 0);
	if (listener < 0 || write(channel, "", 1) != 1)
		_exit(1);
	close(channel);
	serve(listener);
	_exit(0);
}

int main(int argc, char **argv)
{
	int channel[2];
	int listener;
	char ready;

	if (argc < 3 || !choose(argv[1]) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return 2;
	start_looking(getpid(), channel[1]);
	close(channel[1]);
	listener = install_filter();
	if (listener < 0 ||
	    write(channel[0], &listener, sizeof(listener)) < 0 ||
	    read(channel[0], &ready, 1) != 1)
		return 3;
	execvp(argv[2], argv + 2);

	return 127;
}
