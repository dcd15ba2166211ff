/*
 * SASL exchanges (rows A01, A06, A07): whatever a client sends, there is exactly one answer per message, success names
 * the one account whose password or token was proved, and nothing leaks. Input: a byte of flags, a byte for the
 * mechanism, then messages separated by 0xff. "%r" in a message becomes the nonce of the challenge, "%p" an honest
 * SCRAM proof for the rest of that message, "%t" an honest HT proof, so that the deep paths are reached although the
 * server's half of the nonce is random.
 */
#include "server/xmpp/sasl.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "server/im/auth.h"
#include "server/im/auth_limit.h"
#include "server/im/fast.h"
#include "storage/tab_account.h"
#include "tests/lib/im_rig.h"
#include <assert.h>

#define AGENT "fuzz-agent"

struct run {
	struct sasl_peer peer;
	struct str mechanism, message;
	bool has_message;
	struct sasl *s;
	struct sasl_outcome out;
	char data[1024], local[64];
	struct str first; /* client-first-message-bare */
	struct gate gate;
	struct arena *a;
};

static uint32_t account_id;
static char token[FAST_TOKEN_LEN + 1];

static int fixed_binding(struct tls_session *t, enum tls_binding kind, uint8_t out[64])
{
	(void)t;
	memset(out, kind == TLS_EXPORTER ? 'x' : 'e', 32);
	return 32;
}

static size_t fixed_names(struct tls_session *t, void (*fn)(void *ctx, struct str name), void *ctx)
{
	(void)t;
	fn(ctx, STR("anna@example.org"));
	return 1;
}

static const struct sasl_tls_ops ops = { fixed_binding, fixed_names };

static void issued(void *ctx, int err, struct str t, uint64_t expires_ms)
{
	(void)expires_ms;
	assert(!err && t.n == FAST_TOKEN_LEN);
	memcpy(token, t.p, t.n);
	gate_open(ctx);
}

static void issue_here(void *gate)
{
	struct auth_account acc;

	assert(auth_lookup(STR("example.org"), STR("anna"), &acc) == 0 && acc.exists);
	account_id = acc.id;
	fast_issue(acc.id, acc.credentials_epoch, STR(AGENT), STR("HT-SHA-256-NONE"), issued, gate);
}

static void setup(void)
{
	struct limits l = *limits();
	struct gate gate;

	l.auth_delay_ms = 0;
	l.auth_failures_ip = UINT64_MAX;
	limits_set(&l);
	rig_start(1, NULL);
	im.scram_iterations = 1; /* PBKDF2 is not what is looked for here */
	assert(rig_add("example.org", "anna", "pencil") == 0);
	assert(rig_add("example.org", "boris", "bread") == 0);
	gate_init(&gate);
	rig_run(0, issue_here, &gate);
	assert(gate_wait(&gate));
}

static void on_reply(void *ctx, const struct sasl_outcome *o)
{
	struct run *r = ctx;

	r->out = *o;
	snprintf(r->local, sizeof(r->local), "%.*s", STR_ARG(o->local));
	size_t n = o->data.n < sizeof(r->data) ? o->data.n : sizeof(r->data);
	memcpy(r->data, o->data.p ? o->data.p : "", n);
	r->out.data = str_of(r->data, n);
	gate_open(&r->gate);
}

static void begin_here(void *arg)
{
	struct run *r = arg;
	struct str offered[SASL_MAX];
	size_t n = sasl_offer(&r->peer, false, offered, SASL_MAX);

	n += sasl_offer(&r->peer, true, offered + n, SASL_MAX - n);
	r->s = sasl_new(&r->peer, offered, n, on_reply, r);
	sasl_begin(r->s, r->mechanism, r->has_message, r->message);
}

static void step_here(void *arg)
{
	struct run *r = arg;

	sasl_step(r->s, r->message);
}

static void free_here(void *arg)
{
	struct run *r = arg;

	sasl_free(r->s);
}

static struct str field(struct str message, char name)
{
	struct str part;

	while (str_split(&message, ',', &part))
		if (part.n >= 2 && part.p[0] == name && part.p[1] == '=')
			return str_of(part.p + 2, part.n - 2);
	return STR("");
}

static struct str b64(struct arena *a, const void *p, size_t n)
{
	char *out = arena_alloc(a, 4 * ((n + 2) / 3) + 1);

	return str_of(out, base64_encode(p, n, out));
}

/* ClientProof for "pencil", given what stands before ",p=". */
static struct str honest_proof(struct run *r, struct str without_proof)
{
	enum hash_kind kind = HASH_SHA512;
	uint8_t salt[64], key[HASH_MAX], stored[HASH_MAX], sig[HASH_MAX], salted[HASH_MAX];
	size_t n;

	if (str_starts(r->mechanism, STR("SCRAM-SHA-256")))
		kind = HASH_SHA256;
	else if (str_starts(r->mechanism, STR("SCRAM-SHA-1")))
		kind = HASH_SHA1;
	n = digest_size(kind);
	ptrdiff_t salt_n = base64_decode(field(r->out.data, 's'), salt, sizeof(salt));
	pbkdf2(kind, STR("pencil"), str_of((char *)salt, salt_n < 0 ? 0 : (size_t)salt_n), 1, salted);
	hmac(kind, str_of((char *)salted, n), STR("Client Key"), key);
	digest(kind, str_of((char *)key, n), stored);
	hmac(kind, str_of((char *)stored, n),
	     arena_cat(r->a, r->first, STR(","), r->out.data, STR(","), without_proof, STR_NONE), sig);
	for (size_t i = 0; i < n; i++)
		key[i] ^= sig[i];
	return b64(r->a, key, n);
}

static struct str expand(struct run *r, struct str in)
{
	struct buf b;
	uint8_t mac[HASH_MAX];

	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < in.n; i++) {
		char var = in.p[i] == '%' && i + 1 < in.n ? in.p[i + 1] : 0;

		if (var == 'r') {
			buf_str_add(&b, field(r->out.data, 'r'));
		} else if (var == 'p') {
			size_t cut = b.n > 3 ? b.n - 3 : 0;
			buf_str_add(&b, honest_proof(r, str_of(b.p, cut)));
		} else if (var == 't') {
			hmac(HASH_SHA256, str_of(token, FAST_TOKEN_LEN), STR("Initiator"), mac);
			buf_add(&b, mac, 32);
		} else {
			buf_byte(&b, in.p[i]);
			continue;
		}
		i++;
	}
	struct str out = arena_str(r->a, buf_str(&b));
	buf_clear(&b);
	return out;
}

/* client-first-message-bare: behind the second comma. */
static struct str bare_of(struct str first)
{
	struct str part;

	return str_split(&first, ',', &part) && str_split(&first, ',', &part) && first.p ? first : STR("");
}

static void check(const struct run *r)
{
	if (r->out.kind == SASL_FAILURE)
		assert(r->out.condition);
	if (r->out.kind != SASL_SUCCESS)
		return;
	assert(strcmp(r->local, "anna") == 0 || strcmp(r->local, "boris") == 0);
	assert(r->out.account_id && r->out.credentials_epoch && !r->out.is_admin);
	assert((strcmp(r->local, "anna") == 0) == (r->out.account_id == account_id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static bool ready;
	static const char *const names[] = {
		"SCRAM-SHA-1",	      "SCRAM-SHA-256",	    "SCRAM-SHA-512",   "SCRAM-SHA-1-PLUS",
		"SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS", "PLAIN",	       "EXTERNAL",
		"HT-SHA-256-NONE",    "HT-SHA-256-EXPR",    "HT-SHA-256-ENDP", "ANONYMOUS"
	};
	struct run r = { 0 };
	struct str rest, part;

	if (!ready)
		setup();
	ready = true;
	if (n < 2)
		return 0;
	auth_limit_clear();
	r.a = arena_new(4096);
	gate_init(&r.gate);
	r.peer = (struct sasl_peer){ .domain = STR("example.org"), .ip = "192.0.2.1", .user_agent_id = STR(AGENT) };
	r.peer.loopback = true;
	r.peer.secure = data[0] & 1;
	r.peer.tls = data[0] & 1 ? (struct tls_session *)(void *)&r : NULL;
	r.peer.tls_ops = &ops;
	r.peer.sasl2 = data[0] & 2;
	r.peer.fast = data[0] & 4;
	r.peer.has_fast_count = data[0] & 8;
	r.peer.fast_count = data[0] >> 4;
	r.mechanism = str_c(names[data[1] % (sizeof(names) / sizeof(names[0]))]);
	rest = str_of((const char *)data + 2, n - 2);
	r.has_message = str_split(&rest, (char)0xff, &part);
	r.message = expand(&r, r.has_message ? part : STR(""));
	r.first = bare_of(r.message);
	rig_run(0, begin_here, &r);
	assert(gate_wait(&r.gate));
	check(&r);
	while (r.out.kind == SASL_CHALLENGE && str_split(&rest, (char)0xff, &part)) {
		r.message = expand(&r, part);
		if (r.out.data.n == 0)
			r.first = bare_of(r.message);
		rig_run(0, step_here, &r);
		assert(gate_wait(&r.gate));
		check(&r);
	}
	rig_run(0, free_here, &r);
	arena_free(r.a);
	return 0;
}
