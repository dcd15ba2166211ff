/*
 * usage: strophe_talk JID PASSWORD HOST PORT starttls|direct
 * libstrophe (a C library with its own parser, TLS and SASL) logs in, fetches the roster, becomes available, sends itself a message and
 * waits for roster answer, own presence and message. Exit code 0 when all three came. One thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strophe.h>

static struct {
	const char *bare;
	int roster, presence, message, failed;
} seen;

static void finish_when_complete(xmpp_conn_t *conn)
{
	if (seen.roster && seen.presence && seen.message)
		xmpp_disconnect(conn);
}

static int on_roster(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *ctx)
{
	const char *type = xmpp_stanza_get_type(stanza);

	(void)ctx;
	if (type && strcmp(type, "result") == 0)
		seen.roster = 1;
	else
		seen.failed = 1;
	printf("roster: %s\n", type ? type : "none");
	finish_when_complete(conn);
	return 0;
}

static int on_presence(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *ctx)
{
	const char *from = xmpp_stanza_get_from(stanza);

	(void)ctx;
	if (from && strncmp(from, seen.bare, strlen(seen.bare)) == 0 && !xmpp_stanza_get_type(stanza))
		seen.presence = 1;
	printf("presence from %s\n", from ? from : "nobody");
	finish_when_complete(conn);
	return 1;
}

static int on_message(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *ctx)
{
	char *body = xmpp_message_get_body(stanza);

	if (body && strcmp(body, "strophe says <hello> & bye") == 0)
		seen.message = 1;
	printf("message: %s\n", body ? body : "without body");
	xmpp_free(ctx, body);
	finish_when_complete(conn);
	return 1;
}

static void say(xmpp_conn_t *conn, xmpp_ctx_t *ctx)
{
	xmpp_stanza_t *iq = xmpp_iq_new(ctx, "get", "roster1"), *query = xmpp_stanza_new(ctx);
	xmpp_stanza_t *presence = xmpp_presence_new(ctx), *message = xmpp_message_new(ctx, "chat", seen.bare, "m1");

	xmpp_stanza_set_name(query, "query");
	xmpp_stanza_set_ns(query, XMPP_NS_ROSTER);
	xmpp_stanza_add_child(iq, query);
	xmpp_message_set_body(message, "strophe says <hello> & bye");
	xmpp_id_handler_add(conn, on_roster, "roster1", ctx);
	xmpp_handler_add(conn, on_presence, NULL, "presence", NULL, ctx);
	xmpp_handler_add(conn, on_message, NULL, "message", NULL, ctx);
	xmpp_send(conn, iq);
	xmpp_send(conn, presence);
	xmpp_send(conn, message);
	xmpp_stanza_release(query);
	xmpp_stanza_release(iq);
	xmpp_stanza_release(presence);
	xmpp_stanza_release(message);
}

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t status, int error, xmpp_stream_error_t *stream_error,
			  void *ctx)
{
	if (status == XMPP_CONN_CONNECT) {
		printf("connected, %s\n", xmpp_conn_is_secured(conn) ? "secured" : "NOT secured");
		if (!xmpp_conn_is_secured(conn))
			seen.failed = 1;
		say(conn, ctx);
		return;
	}
	printf("disconnected, error %d%s%s\n", error, stream_error && stream_error->text ? " " : "",
	       stream_error && stream_error->text ? stream_error->text : "");
	xmpp_stop(ctx);
}

static int too_late(xmpp_conn_t *conn, void *ctx)
{
	(void)ctx;
	printf("too late: roster %d, presence %d, message %d\n", seen.roster, seen.presence, seen.message);
	seen.failed = 1;
	xmpp_disconnect(conn);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: strophe_talk JID PASSWORD HOST PORT starttls|direct\n");
		return 2;
	}
	xmpp_initialize();
	xmpp_ctx_t *ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_INFO));
	xmpp_conn_t *conn = xmpp_conn_new(ctx);
	long flags = XMPP_CONN_FLAG_TRUST_TLS |
		     (strcmp(argv[5], "direct") == 0 ? XMPP_CONN_FLAG_LEGACY_SSL : XMPP_CONN_FLAG_MANDATORY_TLS);

	seen.bare = argv[1];
	xmpp_conn_set_flags(conn, flags);
	xmpp_conn_set_jid(conn, argv[1]);
	xmpp_conn_set_pass(conn, argv[2]);
	xmpp_timed_handler_add(conn, too_late, 20000, ctx);
	if (xmpp_connect_client(conn, argv[3], (unsigned short)atoi(argv[4]), on_connection, ctx) == XMPP_EOK)
		xmpp_run(ctx);
	xmpp_conn_release(conn);
	xmpp_ctx_free(ctx);
	xmpp_shutdown();
	return seen.roster && seen.presence && seen.message && !seen.failed ? 0 : 1;
}
