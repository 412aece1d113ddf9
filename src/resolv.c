/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's resolver configuration, read as glibc's res_init() reads it, and
 * the text of another one that names other servers. Asks no server anything.
 */
#include "resolv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"

#define KEYWORD	       "nameserver"
#define KEYWORD_LENGTH (sizeof(KEYWORD) - 1)

/* The length of the line at @line, without its newline. */
static size_t line_length(const char *line)
{
	return (size_t)(strchrnul(line, '\n') - line);
}

/*
 * An address as res_init() takes it: inet_aton()'s short forms too ("127.1"),
 * but nothing after it, and an unknown scope is none.
 */
static bool server_parse(const char word[IP_TEXT_SIZE], struct ip *ip)
{
	char address[IP_TEXT_SIZE];

	*ip = (struct ip){ .family = AF_INET };
	/* inet_aton() itself would take an address with a carriage return. */
	if (!strpbrk(word, "\r\v\f") && inet_aton(word, &ip->v4))
		return true;
	if (ip_parse(word, ip))
		return true;

	memcpy(address, word, sizeof(address));
	address[strcspn(address, "%")] = '\0';
	*ip = (struct ip){ .family = AF_INET6 };

	return inet_pton(AF_INET6, address, &ip->v6) == 1;
}

/*
 * Whoever connects to the unspecified address reaches his own host, so such a
 * server is one on the loopback.
 */
static void server_normalise(struct ip *ip)
{
	if (ip->family == AF_INET && ip->v4.s_addr == htonl(INADDR_ANY))
		ip->v4.s_addr = htonl(INADDR_LOOPBACK);
	if (ip->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&ip->v6))
		ip->v6 = in6addr_loopback;
}

static void server_add(struct resolv *resolv, const struct ip *server)
{
	for (size_t i = 0; i < resolv->count; i++) {
		if (ip_equal(&resolv->servers[i], server))
			return;
	}
	if (resolv->count < RESOLV_SERVERS_MAX)
		resolv->servers[resolv->count++] = *server;
}

/*
 * Whether the line names a server, and which. The rules are those of glibc's
 * resolv/res_init.c: the keyword begins the line, a blank ends it and the
 * address, the rest of the line does not count.
 */
static bool line_parse(const char *line, struct ip *server)
{
	char word[IP_TEXT_SIZE] = "";
	size_t length;

	if (strncmp(line, KEYWORD, KEYWORD_LENGTH) != 0)
		return false;
	line += KEYWORD_LENGTH;
	if (*line != ' ' && *line != '\t')
		return false;
	line += strspn(line, " \t");

	length = strcspn(line, " \t\n");
	if (length >= sizeof(word))
		return false;
	memcpy(word, line, length);

	if (!server_parse(word, server))
		return false;
	server_normalise(server);

	return true;
}

/*
 * Find the servers that @text names: each once, in the order of the file, and
 * no more than RESOLV_SERVERS_MAX. Sets servers and count only.
 */
void resolv_parse(const char *text, struct resolv *resolv)
{
	const char *line = text;
	struct ip server;

	resolv->count = 0;
	while (*line) {
		if (line_parse(line, &server))
			server_add(resolv, &server);
		line += line_length(line);
		line += *line == '\n';
	}
}

/* glibc reads line by line, and to it a line ends at a NUL. */
static void blank_after_nul(char *bytes, size_t size)
{
	char *end = bytes + size;
	char *nul = bytes;

	while ((nul = memchr(nul, '\0', (size_t)(end - nul)))) {
		while (nul < end && *nul != '\n')
			*nul++ = ' ';
	}
}

static int read_text(int fd, char **text)
{
	struct buf buf = { 0 };
	ssize_t size;

	do {
		void *room = buf_reserve(&buf, 4096);

		size = read(fd, room, 4096);
		buf.used -= 4096 - (size > 0 ? (size_t)size : 0);
	} while (size > 0 || (size < 0 && errno == EINTR));

	if (size < 0) {
		int ret = -errno;

		buf_free(&buf);
		return ret;
	}
	blank_after_nul((char *)buf.bytes, buf.used);
	buf_u8(&buf, '\0');
	*text = (char *)buf.bytes;

	return 0;
}

/*
 * Read the resolver configuration at @path, normally RESOLV_PATH. A file that
 * is missing, or a link that leads nowhere, is a host without one: not present.
 *
 * Returns 0, or a negative errno that is already reported. Either way the
 * caller frees @resolv with resolv_free().
 */
int resolv_read(const char *path, struct resolv *resolv)
{
	autofree char *target = realpath(path, NULL);
	autoclose int fd = -1;
	int ret;

	*resolv = (struct resolv){ 0 };
	if (target)
		fd = open(target, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && means_absent(errno))
		return 0;
	if (fd < 0)
		return fail(errno, "cannot open %s", path);

	ret = read_text(fd, &resolv->text);
	if (ret < 0)
		return fail(-ret, "cannot read %s", path);

	resolv->present = true;
	resolv->target = target;
	target = NULL;
	resolv_parse(resolv->text, resolv);

	return 0;
}

/*
 * Whether any resolver takes the line for a nameserver line. Go's and c-ares
 * are less strict than glibc: they skip blanks before the keyword.
 */
static bool names_server(const char *line)
{
	line += strspn(line, " \t\r\v\f");
	if (strncmp(line, KEYWORD, KEYWORD_LENGTH) != 0)
		return false;

	return !line[KEYWORD_LENGTH] ||
	       isspace((unsigned char)line[KEYWORD_LENGTH]);
}

/* The line at @text up to its newline, which it need not have. */
static void append_line(struct buf *buf, const char *text)
{
	buf_append(buf, text, line_length(text));
	buf_string(buf, "\n");
}

static void append_server(struct buf *buf, const struct ip *server)
{
	char address[IP_TEXT_SIZE];
	autofree char *scope = NULL;

	buf_string(buf, KEYWORD " ");
	buf_string(buf, ip_format(server, address));
	if (server->scope) {
		scope = xasprintf("%%%u", server->scope);
		buf_string(buf, scope);
	}
	buf_string(buf, "\n");
}

/*
 * Make the text of a configuration that names @servers: the host's @text
 * without its nameserver lines (its search, domain and options lines stay),
 * then ours. @text may be NULL. The caller frees what is returned.
 */
char *resolv_with_servers(const char *text, const struct ip *servers,
			  size_t count)
{
	struct buf buf = { 0 };

	while (text && *text) {
		if (!names_server(text))
			append_line(&buf, text);
		text += line_length(text);
		text += *text == '\n';
	}
	for (size_t i = 0; i < count; i++)
		append_server(&buf, &servers[i]);
	buf_u8(&buf, '\0');

	return (char *)buf.bytes;
}

/*
 * Make the text of a configuration that is like @text, but names the server
 * @to[i] wherever @text names @from[i], of @count each. The caller frees what
 * is returned.
 */
char *resolv_with_replaced(const char *text, const struct ip *from,
			   const struct ip *to, size_t count)
{
	struct buf buf = { 0 };
	struct ip server;

	while (*text) {
		size_t i = line_parse(text, &server) ? 0 : count;

		while (i < count && !ip_equal(&server, &from[i]))
			i++;
		if (i < count)
			append_server(&buf, &to[i]);
		else
			append_line(&buf, text);
		text += line_length(text);
		text += *text == '\n';
	}
	buf_u8(&buf, '\0');

	return (char *)buf.bytes;
}

/* Give back what resolv_read() took. */
void resolv_free(struct resolv *resolv)
{
	free(resolv->target);
	free(resolv->text);
	*resolv = (struct resolv){ 0 };
}
