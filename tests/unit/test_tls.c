/*
 * TLS: certificates at start, STARTTLS and direct TLS with a client in a thread of its own, reload, channel binding, client certificates
 * (rows A05, A13, A14). The server side runs on the test's own loop.
 */
#include "server/net/tls.h"
#include "base/err.h"
#include "base/mem.h"
#include "server/net/conn.h"
#include "server/net/limits.h"
#include "server/net/tls_internal.h"
#include "tests/lib/certs.h"
#include "tests/lib/net.h"
#include <openssl/err.h>
#include <signal.h>
#include <sys/stat.h>

enum { PLENTY_MS = 20000, DAY = 86400, YEAR = 365 * DAY };

static EVP_PKEY *new_key(void)
{
	return EVP_EC_gen("P-256");
}

/* DIR/NAME.pem and DIR/NAME.key: a self-signed pair. */
static void make_pair(const char *name, long from, long to)
{
	char path[512];
	EVP_PKEY *k = new_key();
	X509 *c = make_cert(k, name, from, to, NULL, NULL, NULL);
	snprintf(path, sizeof(path), "%s/%s.pem", test_tmpdir(), name);
	save_cert(path, c);
	snprintf(path, sizeof(path), "%s/%s.key", test_tmpdir(), name);
	save_key(path, k);
	X509_free(c);
	EVP_PKEY_free(k);
}

static char cert_path[512], key_path[512], ca_path[512];
static struct tls_options pair_options(const char *cert, const char *key)
{
	snprintf(cert_path, sizeof(cert_path), "%s/%s.pem", test_tmpdir(), cert);
	snprintf(key_path, sizeof(key_path), "%s/%s.key", test_tmpdir(), key);
	return (struct tls_options){ .certificate = cert_path, .key = key_path };
}
static struct tls_context *good_context(const char *name)
{
	struct tls_context *c = NULL;
	struct err_msg msg = { 0 };
	make_pair(name, -DAY, YEAR);
	struct tls_options o = pair_options(name, name);
	ok(tls_context_new(&o, &c, &msg) == 0, "context of %s %s", name, msg.text);
	return c;
}

/* --- contexts ----------------------------------------------------------------------------------------------------------- */
static int try_pair(const char *cert, const char *key, struct err_msg *msg)
{
	struct tls_context *c = NULL;
	struct tls_options o = pair_options(cert, key);
	*msg = (struct err_msg){ 0 };
	int rc = tls_context_new(&o, &c, msg);
	tls_context_unref(c);
	diag("%s", msg->text);
	return rc;
}

TEST(bad_certificates_are_refused_with_the_cure)
{
	struct err_msg msg;
	make_pair("good", -DAY, YEAR);
	make_pair("other", -DAY, YEAR);
	make_pair("expired", -10 * DAY, -DAY);
	make_pair("ending", -DAY, DAY / 2);
	make_pair("future", 2 * DAY, YEAR);
	make_pair("soon", -DAY, 3 * DAY);
	is_int(try_pair("good", "good", &msg), 0);
	is_int(try_pair("soon", "soon", &msg), 0); /* with a warning in the log */
	is_int(try_pair("good", "other", &msg), ERR_CONFLICT);
	ok(strstr(msg.text, "other.key") && strstr(msg.text, "good.pem"), "both files are named");
	is_int(try_pair("expired", "expired", &msg), ERR_CRYPTO);
	ok(strstr(msg.text, "expired.pem") && strstr(msg.text, "renew"), "the cure is named");
	is_int(try_pair("ending", "ending", &msg), ERR_CRYPTO);
	ok(strstr(msg.text, "within a day") != NULL, "the reason is named");
	is_int(try_pair("future", "future", &msg), ERR_CRYPTO);
	is_int(try_pair("absent", "good", &msg), ERR_NOT_FOUND);
	is_int(try_pair("good", "absent", &msg), ERR_NOT_FOUND);
	char path[512];
	snprintf(path, sizeof(path), "%s/junk.pem", test_tmpdir());
	FILE *f = fopen(path, "we");
	fputs("-----BEGIN nothing", f);
	fclose(f);
	is_int(try_pair("junk", "good", &msg), ERR_CRYPTO);
	snprintf(path, sizeof(path), "%s/junk.key", test_tmpdir());
	f = fopen(path, "we");
	fclose(f);
	is_int(try_pair("good", "junk", &msg), ERR_CRYPTO);
	struct tls_context *c = NULL;
	is_int(tls_context_new(&(struct tls_options){ .certificate = cert_path }, &c, &msg), ERR_SYNTAX);
	is_int(ERR_peek_error(), 0);
}

static void list_san(X509 *c, char *out, size_t size)
{
	GENERAL_NAMES *san = X509_get_ext_d2i(c, NID_subject_alt_name, NULL, NULL);
	size_t n = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(san); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);
		if (g->type == GEN_DNS)
			n += (size_t)snprintf(out + n, size - n, "%s ",
					      (const char *)ASN1_STRING_get0_data(g->d.dNSName));
		else
			n += (size_t)snprintf(out + n, size - n, "ip%d ", ASN1_STRING_length(g->d.ip));
	}
	GENERAL_NAMES_free(san);
}

TEST(a_self_signed_pair_is_made_once)
{
	char dir[400], cert[512], key[512], san[256] = "";
	struct err_msg msg = { 0 };
	struct stat before, after;
	snprintf(dir, sizeof(dir), "%s/data", test_tmpdir());
	mkdir(dir, 0700);
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	const char *const domains[] = { "example.org", "b\303\274ro.example", "192.0.2.7" };
	struct tls_options o = { .data_dir = dir, .domains = domains, .n_domains = 3 };
	struct tls_context *c = NULL;
	mode_t old = umask(0);
	require(tls_context_new(&o, &c, &msg) == 0, "made %s", msg.text);
	umask(old);
	X509 *x = SSL_CTX_get0_certificate(c->ssl_ctx);
	list_san(x, san, sizeof(san));
	is_cstr(san, "example.org xn--bro-hoa.example ip4 ");
	int days = 0, seconds;
	ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x));
	is_int(days >= 3648 && days <= 3650, 1);
	is_int(EVP_PKEY_get_id(X509_get0_pubkey(x)), EVP_PKEY_EC);
	tls_context_unref(c);
	stat(key, &before);
	is_int(before.st_mode & 0777, 0600);
	require(tls_context_new(&o, &c, &msg) == 0, "used again");
	tls_context_unref(c);
	stat(key, &after);
	is_int(after.st_ino, before.st_ino);

	/* A crash between the two files left only the key: it is kept. */
	unlink(cert);
	require(tls_context_new(&o, &c, &msg) == 0, "the certificate is made again");
	tls_context_unref(c);
	stat(key, &after);
	is_int(after.st_ino, before.st_ino);
	unlink(key);
	is_int(tls_context_new(&o, &c, &msg), ERR_NOT_FOUND);
	ok(strstr(msg.text, "restore it, or remove both") != NULL, "the cure is named");
}

/* --- connections ------------------------------------------------------------------------------------------------------------ */
static struct loop *loop;
static struct conn *conn;
static struct buf got;
static unsigned closed, secured;
static int closed_err;
static size_t got_want;
static void (*on_data_hook)(struct conn *c, const char *data, size_t n);
static void (*on_secure_hook)(struct conn *c);

static void on_data(struct conn *c, const char *data, size_t n)
{
	if (on_data_hook)
		on_data_hook(c, data, n);
	else
		buf_add(&got, data, n);
}
static void on_secure(struct conn *c)
{
	secured++;
	if (on_secure_hook)
		on_secure_hook(c);
}
static void on_closed(struct conn *c, int err)
{
	(void)c;
	closed++;
	closed_err = err;
	conn = NULL;
}
static const struct conn_events events = { .on_data = on_data, .on_secure = on_secure, .on_closed = on_closed };

static bool is_closed(void)
{
	return closed > 0;
}
static bool got_enough(void)
{
	return got.n >= got_want || closed > 0;
}
static bool is_secure(void)
{
	return secured > 0 || closed > 0;
}

/* Starts the client and the server's end of a connection; tls NULL: plain at first. */
static void begin(struct tls_client *client, struct tls_context *tls)
{
	int fd[2];
	signal(SIGPIPE, SIG_IGN); /* the client's socket BIO */
	ok(tcp_pair(fd), "a connected pair");
	client->fd = fd[1];
	loop = loop_new();
	loop_enter(loop);
	buf_init(&got, 64 << 20);
	closed = secured = 0;
	closed_err = 1;
	conn = conn_new(fd[0], &events, NULL, tls);
	start_client(client);
}
static void end(struct tls_client *client)
{
	if (conn)
		conn_close(conn);
	ok(run_until(is_closed, PLENTY_MS), "on_closed came");
	join_client(client);
	is_int(closed, 1);
	buf_clear(&got);
	on_data_hook = NULL;
	on_secure_hook = NULL;
	loop_free(loop);
}

static char version_seen[16], cipher_seen[64];
static void take_version(struct conn *c)
{
	ok(conn_is_tls(c) && conn_tls(c), "TLS");
	snprintf(version_seen, sizeof(version_seen), "%s", tls_version(conn_tls(c)));
	snprintf(cipher_seen, sizeof(cipher_seen), "%s", tls_cipher(conn_tls(c)));
}

static void say_hello(struct tls_client *c)
{
	SSL_write(c->ssl, "hello", 5);
	char buf[5];
	if (ssl_read_all(c->ssl, buf, 5))
		*(bool *)c->arg = memcmp(buf, "world", 5) == 0;
}
static void answer_world(struct conn *c, const char *data, size_t n)
{
	buf_add(&got, data, n);
	if (got.n == 5)
		conn_write(c, STR("world"));
}

TEST(direct_tls_with_alpn)
{
	/* XEP-0368: "xmpp-client" or nothing; a client that offers only others is refused. */
	struct {
		const char *alpn;
		bool good;
		int selected;
	} cases[] = { { "\x0bxmpp-client", true, 11 },
		      { "\x08http/1.1\x0bxmpp-client", true, 11 },
		      { "\x08http/1.1", false, 0 },
		      { NULL, true, 0 } };
	make_pair("direct", -DAY, YEAR);
	struct tls_options o = pair_options("direct", "direct");
	o.alpn_xmpp = true;
	struct tls_context *tls = NULL;
	require(tls_context_new(&o, &tls, NULL) == 0, "context");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool answered = false;
		struct tls_client client = { .alpn = cases[i].alpn, .script = say_hello, .arg = &answered };
		on_data_hook = answer_world;
		begin(&client, tls);
		run_until(is_closed, PLENTY_MS);
		is_int(closed_err, cases[i].good ? ERR_CLOSED : ERR_CRYPTO);
		end(&client);
		is_int(answered, cases[i].good);
		is_int(client.alpn_n, cases[i].selected);
		is_int(secured, cases[i].good);
	}
	tls_context_unref(tls);
}

/* --- STARTTLS ------------------------------------------------------------------------------------------------------------------- */
#define STARTTLS "<starttls/>"
#define PROCEED "<proceed/>"
static struct tls_context *starttls_context;
static int starttls_rc;

/* What a stream does: looks at the end of <starttls/>, gives the rest back, then asks for TLS. */
static void upgrade(struct conn *c, const char *data, size_t n)
{
	if (conn_is_tls(c)) {
		answer_world(c, data, n);
		return;
	}
	buf_add(&got, data, n);
	if (got.n < sizeof(STARTTLS) - 1)
		return;
	size_t rest = got.n - (sizeof(STARTTLS) - 1);
	got.n -= rest;
	conn_unread(c, data + n - rest, rest);
	conn_write(c, STR(PROCEED));
	starttls_rc = conn_starttls(c, starttls_context);
	is_str(buf_str(&got), STR(STARTTLS));
	buf_reset(&got);
	if (starttls_rc < 0)
		conn_close(c);
}

TEST(starttls_upgrades)
{
	bool answered = false;
	struct tls_client client = {
		.preface = STARTTLS, .proceed = sizeof(PROCEED) - 1, .script = say_hello, .arg = &answered
	};
	starttls_context = good_context("starttls");
	on_data_hook = upgrade;
	begin(&client, NULL);
	is_ptr(conn_tls(conn), NULL);
	on_secure_hook = take_version;
	ok(run_until(is_closed, PLENTY_MS), "closed by the peer");
	is_int(starttls_rc, 0);
	is_int(secured, 1);
	is_cstr(version_seen, "TLSv1.3");
	ok(strncmp(cipher_seen, "TLS_", 4) == 0, "%s", cipher_seen);
	is_str(buf_str(&got), STR("hello"));
	end(&client);
	ok(answered, "the client read the answer");
}

TEST(bytes_glued_behind_starttls_end_the_connection)
{
	/* Row A05: in the same segment. */
	struct tls_client client = { .preface = STARTTLS "<stream:stream><auth/>", .proceed = sizeof(PROCEED) - 1 };
	starttls_rc = 0;
	on_data_hook = upgrade;
	begin(&client, NULL);
	run_until(is_closed, PLENTY_MS);
	end(&client);
	is_int(starttls_rc, ERR_CONFLICT);
	is_int(secured, 0);
	ok(!client.secure, "no TLS");
}

static int late_peer;
static struct str late; /* written to it */
static void upgrade_late(struct conn *c, const char *data, size_t n)
{
	if (!conn_is_tls(c))
		ok(write(late_peer, late.p, late.n) == (ssize_t)late.n, "injected");
	upgrade(c, data, n);
}

/* In the kernel while <starttls/> is worked on, and in front of the handshake: go-sendxmpp ends its <starttls/> with a line end. */
TEST(only_white_space_may_come_in_a_segment_of_its_own)
{
	static const char blanks[66] = "                                                                 ";
	const struct {
		struct str waiting;
		const char *behind; /* <proceed/> */
		int rc;
		bool good;
	} cases[] = { { STR("<auth/>"), "", ERR_CONFLICT, false },
		      { STR("\n<auth/>"), "", ERR_CONFLICT, false },
		      { str_of(blanks, 65), "", ERR_CONFLICT, false },
		      { STR(""), "\n<auth/>", 0, false },
		      { STR("\n"), "", 0, true },
		      { STR(""), "\r\n", 0, true },
		      { str_of(blanks, 9), " \t\r\n", 0, true } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool answered = false;
		struct tls_client client = { .preface = STARTTLS,
					     .proceed = sizeof(PROCEED) - 1,
					     .behind = cases[i].behind,
					     .script = say_hello,
					     .arg = &answered };
		late = cases[i].waiting;
		on_data_hook = upgrade_late;
		begin(&client, NULL);
		late_peer = client.fd;
		run_until(is_closed, PLENTY_MS);
		end(&client);
		is_int(starttls_rc, cases[i].rc);
		is_int(secured, cases[i].good);
		is_int(answered, cases[i].good);
		buf_reset(&got);
	}
	tls_context_unref(starttls_context);
}

/* --- protocol rules (row A13) --------------------------------------------------------------------------------------------------- */
static void renegotiate(struct tls_client *c)
{
	char byte;
	SSL_renegotiate(c->ssl);
	*(int *)c->arg = SSL_do_handshake(c->ssl);
	SSL_write(c->ssl, "hello", 5);
	(void)SSL_read(c->ssl, &byte, 1);
}

TEST(old_versions_and_renegotiation_are_refused)
{
	struct tls_context *tls = good_context("rules");
	const int refused[] = { TLS1_VERSION, TLS1_1_VERSION };
	for (int i = 0; i < 2; i++) {
		struct tls_client client = { .version = refused[i] };
		begin(&client, tls);
		run_until(is_closed, PLENTY_MS);
		end(&client);
		is_int(closed_err, ERR_CRYPTO);
		ok(!client.secure, "TLS 1.%d is refused", i);
	}
	int renegotiated = 2;
	struct tls_client client = { .version = TLS1_2_VERSION, .script = renegotiate, .arg = &renegotiated };
	on_secure_hook = take_version;
	begin(&client, tls);
	run_until(is_secure, PLENTY_MS);
	is_cstr(version_seen, "TLSv1.2");
	got_want = 5;
	run_until(got_enough, 200);
	end(&client);
	ok(client.secure, "TLS 1.2 is served");
	ok(renegotiated != 1, "no renegotiation");
	tls_context_unref(tls);
}

TEST(a_handshake_has_a_time_limit)
{
	/* Row W11. */
	struct limits l = *limits();
	l.tls_handshake_ms = 30;
	limits_set(&l);
	struct tls_context *tls = good_context("slow");
	int fd[2];
	require(tcp_pair(fd), "a connected pair");
	loop = loop_new();
	loop_enter(loop);
	closed = secured = 0;
	conn = conn_new(fd[0], &events, NULL, tls);
	ok(run_until(is_closed, PLENTY_MS), "closed");
	is_int(closed_err, ERR_TIMEOUT);
	close(fd[1]);
	loop_free(loop);
	l.tls_handshake_ms = 30000;
	limits_set(&l);
	tls_context_unref(tls);
}

/* --- data ------------------------------------------------------------------------------------------------------------------------- */
enum { MANY = 4 << 20 };
static void read_many(struct tls_client *c)
{
	char *p = mem_alloc(MANY);
	bool good = ssl_read_all(c->ssl, p, MANY);
	for (size_t i = 0; i < MANY && good; i++)
		good = p[i] == (char)((i * 2654435761U) >> 13);
	*(bool *)c->arg = good;
	/* and the same amount back */
	for (size_t n = 0; n < MANY && good;) {
		int w = SSL_write(c->ssl, p + n, (int)(MANY - n < 50000 ? MANY - n : 50000));
		good = w > 0;
		n += good ? (size_t)w : 0;
	}
	mem_free(p);
}

TEST(much_data_both_ways_in_pieces_of_all_sizes)
{
	bool good = false;
	struct tls_context *tls = good_context("much");
	struct tls_client client = { .script = read_many, .arg = &good };
	begin(&client, tls);
	conn_set_output_max(conn, MANY);
	char *all = mem_alloc(MANY);
	for (size_t i = 0; i < MANY; i++)
		all[i] = (char)((i * 2654435761U) >> 13);
	/* Queued before the handshake has begun: kept until it is done. */
	for (size_t n = 0, i = 0; n < MANY; i++) {
		size_t part = (i * 7919) % 40000 + 1;
		if (part > MANY - n)
			part = MANY - n;
		struct chunk *k = chunk_of(str_of(all + n, part));
		is_int(i % 2 ? conn_write(conn, chunk_str(k)) : conn_write_chunk(conn, k, 0, part), 0);
		chunk_unref(k);
		n += part;
	}
	got_want = MANY;
	ok(run_until(got_enough, PLENTY_MS), "all came back");
	is_int(got.n, MANY);
	ok(got.n == MANY && memcmp(got.p, all, MANY) == 0, "unchanged");
	mem_free(all);
	end(&client);
	ok(good, "the client read all of it");
	tls_context_unref(tls);
}

enum { SMALL = 100, SMALL_BYTES = 50 };
static void read_small(struct tls_client *c)
{
	char buf[SMALL * SMALL_BYTES];
	*(bool *)c->arg = ssl_read_all(c->ssl, buf, sizeof(buf));
	SSL_write(c->ssl, "done", 4);
	(void)SSL_read(c->ssl, buf, 1); /* until the server closes */
}

TEST(small_pieces_of_a_turn_share_a_record)
{
	bool good = false;
	struct tls_context *tls = good_context("small");
	struct tls_client client = { .script = read_small, .arg = &good };
	begin(&client, tls);
	require(run_until(is_secure, PLENTY_MS) && conn, "secure");
	run_until(NULL, 5);
	uint64_t before = conn_tx_total(conn);
	struct chunk *k = chunk_alloc(2000); /* a referenced chunk among copied pieces */
	memset(k->data, 'x', 2000);
	for (int i = 0; i < SMALL - 40; i++)
		conn_write(conn, STR("<message to='a@example.org'><body>hello</body></m>"));
	conn_write_chunk(conn, k, 0, 2000);
	chunk_unref(k);
	got_want = 4;
	ok(run_until(got_enough, PLENTY_MS), "the client has it");
	uint64_t sent = conn_tx_total(conn) - before;
	ok(sent > SMALL * SMALL_BYTES && sent < SMALL * SMALL_BYTES + 60, "%u bytes of ciphertext for %u",
	   (unsigned)sent, SMALL * SMALL_BYTES);
	is_int(conn_tx_confirmed(conn), conn_tx_total(conn));
	end(&client);
	ok(good, "whole");
	tls_context_unref(tls);
}

static void write_burst(struct tls_client *c)
{
	char buf[20000];
	memset(buf, 'b', sizeof(buf));
	for (int i = 0; i < 20; i++)
		SSL_write(c->ssl, buf, sizeof(buf));
	*(bool *)c->arg = true;
	(void)SSL_read(c->ssl, buf, 1);
}
static void pause_each(struct conn *c, const char *data, size_t n)
{
	buf_add(&got, data, n);
	conn_pause(c);
	conn_resume(c);
	conn_charge_stanza(c);
}

TEST(what_waits_inside_openssl_comes_after_a_pause)
{
	/* Decrypted or buffered bytes are not seen by epoll. */
	bool sent = false;
	struct tls_context *tls = good_context("pause");
	struct tls_client client = { .script = write_burst, .arg = &sent };
	on_data_hook = pause_each;
	begin(&client, tls);
	conn_set_rate(conn, 4 << 20, 5000);
	conn_set_stanza_rate(conn, 1000, 1);
	got_want = 400000;
	ok(run_until(got_enough, PLENTY_MS), "all came");
	is_int(got.n, 400000);
	end(&client);
	ok(sent, "all was sent");
	tls_context_unref(tls);
}

/* --- reload ---------------------------------------------------------------------------------------------------------------------- */
TEST(reload_keeps_old_connections)
{
	bool answered = false, answered_new = false;
	struct tls_context *old = good_context("before");
	struct tls_client client = { .script = say_hello, .arg = &answered },
			  second = { .script = say_hello, .arg = &answered_new };
	begin(&client, old);
	ok(run_until(is_secure, PLENTY_MS), "secure with the old certificate");
	struct tls_context *new = good_context("after");
	tls_context_unref(old); /* the connection keeps its own reference */
	on_data_hook = answer_world;
	if (got.n > 0 && conn) /* the hello may have come before the hook was set */
		conn_write(conn, STR("world"));
	ok(run_until(is_closed, PLENTY_MS), "done");
	end(&client);
	ok(answered, "the old connection went on working");
	is_cstr(client.peer_cn, "before");
	on_data_hook = answer_world;
	begin(&second, new);
	ok(run_until(is_closed, PLENTY_MS), "done");
	end(&second);
	ok(answered_new, "a new one works");
	is_cstr(second.peer_cn, "after");
	tls_context_unref(new);
}

/* --- channel binding -------------------------------------------------------------------------------------------------------------- */
struct bindings {
	uint8_t exporter[32], end_point[64];
	unsigned end_point_n;
};
static struct bindings server_side;
static int exporter_n, end_point_n;

static void take_bindings(struct conn *c)
{
	uint8_t out[64];
	exporter_n = tls_channel_binding(conn_tls(c), TLS_EXPORTER, out);
	if (exporter_n == 32)
		memcpy(server_side.exporter, out, 32);
	end_point_n = tls_channel_binding(conn_tls(c), TLS_SERVER_END_POINT, server_side.end_point);
}
static void client_bindings(struct tls_client *c)
{
	struct bindings *b = c->arg;
	SSL_export_keying_material(c->ssl, b->exporter, 32, "EXPORTER-Channel-Binding", 24, (const unsigned char *)"",
				   0, 1);
	X509_digest(SSL_get0_peer_certificate(c->ssl), EVP_sha256(), b->end_point, &b->end_point_n);
}

TEST(channel_bindings_agree_with_the_client)
{
	const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct tls_context *tls = good_context("binding");
	for (int i = 0; i < 2; i++) {
		struct bindings b = { 0 };
		struct tls_client client = { .version = versions[i], .script = client_bindings, .arg = &b };
		on_secure_hook = take_bindings;
		begin(&client, tls);
		run_until(is_closed, PLENTY_MS);
		end(&client);
		is_int(exporter_n, 32);
		is_mem(server_side.exporter, b.exporter, 32);
		is_int(end_point_n, 32);
		is_mem(server_side.end_point, b.end_point, 32);
	}
	tls_context_unref(tls);
	is_int(tls_channel_binding(NULL, TLS_EXPORTER, server_side.end_point), ERR_UNSUPPORTED);
}

TEST(end_point_hash_follows_the_signature)
{
	/* RFC 5929 4.1: SHA-1 signatures count as SHA-256, SHA-512 stays; Ed25519 has no such hash. */
	struct {
		const char *alg;
		const EVP_MD *md;
		int want;
	} cases[] = { { "EC", EVP_sha1(), 32 }, { "EC", EVP_sha512(), 64 }, { "ED25519", NULL, ERR_UNSUPPORTED } };
	for (size_t i = 0; i < 3; i++) {
		EVP_PKEY *k = strcmp(cases[i].alg, "EC") == 0 ? new_key() : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		X509 *c = make_cert(k, "ep", -DAY, YEAR, NULL, NULL, NULL);
		X509_sign(c, k, cases[i].md);
		struct tls_options o = pair_options("ep", "ep");
		save_cert(cert_path, c);
		save_key(key_path, k);
		struct tls_context *tls = NULL;
		struct err_msg msg = { 0 };
		ok(tls_context_new(&o, &tls, &msg) == 0, "loaded %s", msg.text);
		if (tls)
			is_int(tls->end_point_n, cases[i].want);
		tls_context_unref(tls);
		X509_free(c);
		EVP_PKEY_free(k);
	}
}

/* --- client certificates (row A14) --------------------------------------------------------------------------------------------------- */
static char names[256];
static void add_name(void *ctx, struct str name)
{
	size_t n = strlen(names);
	(void)ctx;
	snprintf(names + n, sizeof(names) - n, "%.*s ", STR_ARG(name));
}

static X509 *ca;
static EVP_PKEY *ca_key, *client_key;
static X509 *client_cert(const char *cn, GENERAL_NAMES *san)
{
	if (!ca) {
		ca_key = new_key();
		client_key = new_key();
		ca = make_cert(ca_key, "CA", -DAY, YEAR, NULL, NULL, NULL);
		snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", test_tmpdir());
		save_cert(ca_path, ca);
	}
	X509 *c = make_cert(client_key, cn, -DAY, YEAR, san, ca, ca_key);
	GENERAL_NAMES_free(san);
	return c;
}
/* Names that the rules find in a certificate with these SAN entries. */
static size_t names_in(X509 *c)
{
	names[0] = '\0';
	size_t n = tls_certificate_names(c, add_name, NULL);
	X509_free(c);
	return n;
}

TEST(names_of_a_client_certificate)
{
	GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
	add_dns(san, "example.org");
	add_xmpp_addr(san, STR("ivan@example.org"));
	add_xmpp_addr(san, STR("\320\270\320\262\320\260\320\275@example.org"));
	is_int(names_in(client_cert("admin@example.org", san)), 2);
	is_cstr(names, "ivan@example.org \320\270\320\262\320\260\320\275@example.org ");

	is_int(names_in(client_cert("admin@example.org", NULL)), 0); /* RFC 9525: the CN is no identity */
	san = sk_GENERAL_NAME_new_null();
	add_dns(san, "example.org");
	is_int(names_in(client_cert("OU=CN=admin,", san)), 0);

	san = sk_GENERAL_NAME_new_null();
	add_xmpp_addr(san, STR("ivan@example.org"));
	add_xmpp_addr(san, STR("admin@example.org\0.evil.example"));
	is_int(names_in(client_cert("x", san)), 0); /* a NUL: refused whole */
	san = sk_GENERAL_NAME_new_null();
	add_xmpp_addr(san, STR("iv\377an@example.org"));
	is_int(names_in(client_cert("x", san)), 0); /* broken UTF-8 */
	san = sk_GENERAL_NAME_new_null();
	add_xmpp_addr(san, STR(""));
	is_int(names_in(client_cert("x", san)), 0);
	is_cstr(names, "");
}

static GENERAL_NAMES *many_names(int n)
{
	GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
	for (int i = 0; i < n; i++)
		add_xmpp_addr(san, STR("a@example.org"));
	return san;
}

TEST(endless_san_lists_are_refused)
{
	is_int(names_in(client_cert("x", many_names(100))), 100);
	is_int(names_in(client_cert("x", many_names(101))), 0);
	is_int(names_in(client_cert("x", many_names(100000))), 0);
}

static size_t wire_names;
static void take_names(struct conn *c)
{
	names[0] = '\0';
	wire_names = tls_client_names(conn_tls(c), add_name, NULL);
}
static bool login(struct tls_context *tls, X509 *cert, int version)
{
	struct tls_client client = { .version = version, .cert = cert, .key = client_key };
	wire_names = 99;
	on_secure_hook = take_names;
	begin(&client, tls);
	run_until(is_closed, PLENTY_MS);
	end(&client);
	X509_free(cert);
	return secured == 1;
}

TEST(client_certificates_over_the_wire)
{
	GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
	add_xmpp_addr(san, STR("ivan@example.org"));
	X509 *good = client_cert("Ivan", san), *foreign = make_cert(client_key, "Ivan", -DAY, YEAR, NULL, NULL, NULL);
	make_pair("ask", -DAY, YEAR);
	struct tls_options o = pair_options("ask", "ask");
	struct tls_context *tls = NULL, *silent = NULL;
	struct err_msg msg = { 0 };
	is_int(tls_context_new(&o, &silent, &msg), 0);
	o.client_ca = ca_path;
	require(tls_context_new(&o, &tls, &msg) == 0, "context %s", msg.text);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		X509_up_ref(good);
		X509_up_ref(foreign);
		ok(login(tls, good, version), "handshake with a good certificate");
		is_int(wire_names, 1);
		is_cstr(names, "ivan@example.org ");
		ok(login(tls, NULL, version), "handshake without one");
		is_int(wire_names, 0);
		ok(login(tls, foreign, version), "handshake with one of another CA: password login stays possible");
		is_int(wire_names, 0);
	}
	san = sk_GENERAL_NAME_new_null();
	add_xmpp_addr(san, STR("ivan@example.org"));
	X509 *expired = make_cert(client_key, "Ivan", -2 * DAY, -DAY, san, ca, ca_key);
	GENERAL_NAMES_free(san);
	ok(login(tls, expired, 0), "handshake with an expired one");
	is_int(wire_names, 0);
	ok(!login(tls, client_cert("x", many_names(100000)), 0), "10^5 SAN entries end the handshake");
	ok(login(silent, good, 0), "a context without client_ca does not ask");
	is_int(wire_names, 0);
	X509_free(foreign);
	tls_context_unref(tls);
	tls_context_unref(silent);
	o.client_ca = "/nonexistent/ca.pem";
	is_int(tls_context_new(&o, &tls, &msg), ERR_CRYPTO);
	ok(strstr(msg.text, "/nonexistent/ca.pem") != NULL, "%s", msg.text);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(client_key);
}
