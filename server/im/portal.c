/*
 * Sign-on by a token of the portal. The key is chosen by the issuer named in the unverified token, and its algorithm is compared before libjwt sees the key,
 * so a public key can never be taken for a shared secret (row A15). Keys are replaced by a reload: readers hold a read lock while they verify.
 */
#include "server/im/portal.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/hash.h"
#include "base/mem.h"
#include "server/im/auth.h"
#include "server/im/im.h"
#include "xml/jid.h"
#include <jwt.h>
#include <pthread.h>
#include <string.h>

#define LEEWAY_S 60
#define TOKEN_MAX 8192
#define SECRET_MIN 32
#define IDS_MAX 100000	    /* remembered ids; they go when they expire */
#define ID_LIFE_MAX_S 86400 /* a token that is valid longer is refused: its id would have to be remembered */

struct key {
	char *issuer, *audience, *domain;
	unsigned char *data;
	size_t n;
	enum portal_algorithm algorithm;
};
static struct key *keys;
static size_t n_keys;
static pthread_rwlock_t keys_lock = PTHREAD_RWLOCK_INITIALIZER;

/* Ids that were used, by the hash of issuer and id, with their expiry in seconds. */
static struct idmap *used;
static pthread_mutex_t used_lock = PTHREAD_MUTEX_INITIALIZER;

static const jwt_alg_t algorithms[] = { JWT_ALG_HS256, JWT_ALG_RS256, JWT_ALG_ES256 };

/* ---- keys ---- */

static void keys_free(struct key *k, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		mem_free(k[i].issuer);
		mem_free(k[i].audience);
		mem_free(k[i].domain);
		if (k[i].data)
			secret_wipe(k[i].data, k[i].n);
		mem_free(k[i].data);
	}
	mem_free(k);
}

static int key_read(const struct portal_key *from, struct key *k, struct err_msg *msg)
{
	FILE *f = fopen(from->key_file, "re");

	if (!f)
		return err_set(msg, ERR_IO, "auth.portal: the key file %s cannot be read: %m", from->key_file);
	k->data = mem_zero(TOKEN_MAX + 1);
	k->n = fread(k->data, 1, TOKEN_MAX, f);
	fclose(f);
	if (from->algorithm == PORTAL_HS256) {
		while (k->n && (k->data[k->n - 1] == '\n' || k->data[k->n - 1] == '\r'))
			k->n--;
		if (k->n < SECRET_MIN)
			return err_set(msg, ERR_SYNTAX, "auth.portal: %s: a shared secret has at least %d bytes",
				       from->key_file, SECRET_MIN);
	} else if (!memmem(k->data, k->n, "-----BEGIN PUBLIC KEY-----", 26)) {
		return err_set(msg, ERR_SYNTAX, "auth.portal: %s: there is no public key in PEM form", from->key_file);
	}
	k->algorithm = (enum portal_algorithm)from->algorithm;
	k->issuer = str_dup(str_c(from->issuer));
	k->audience = str_dup(str_c(from->audience));
	k->domain = str_dup(str_c(from->domain));
	return 0;
}

int portal_set_keys(const struct portal_key *from, size_t n, struct err_msg *msg)
{
	struct key *fresh = mem_zero((n + 1) * sizeof *fresh);

	for (size_t i = 0; i < n; i++) {
		int err = key_read(&from[i], &fresh[i], msg);
		if (err) {
			keys_free(fresh, n);
			return err;
		}
	}
	pthread_rwlock_wrlock(&keys_lock);
	struct key *old = keys;
	size_t n_old = n_keys;
	keys = fresh;
	n_keys = n;
	pthread_rwlock_unlock(&keys_lock);
	keys_free(old, n_old);
	return 0;
}

void portal_fini(void)
{
	struct err_msg msg;

	portal_set_keys(NULL, 0, &msg);
	keys_free(keys, 0);
	keys = NULL;
	idmap_free(used);
	used = NULL;
}

bool portal_is_configured(struct str domain)
{
	bool found = false;

	pthread_rwlock_rdlock(&keys_lock);
	for (size_t i = 0; i < n_keys; i++)
		found |= !domain.p || str_eq_c(domain, keys[i].domain);
	pthread_rwlock_unlock(&keys_lock);
	return found;
}

/* ---- ids that count once ---- */

static void forget_expired(uint64_t now_s)
{
	struct idmap *kept = idmap_new();
	size_t pos = 0;
	uint64_t id;
	void *expires;

	while (idmap_next(used, &pos, &id, &expires))
		if ((uintptr_t)expires >= now_s)
			idmap_put(kept, id, expires);
	idmap_free(used);
	used = kept;
}

static bool first_use(const char *issuer, const char *id, uint64_t now_s, uint64_t expires_s)
{
	uint8_t d[HASH_MAX];
	uint64_t key;
	struct buf b;
	bool fresh;

	buf_init(&b, TOKEN_MAX * 2);
	buf_printf(&b, "%s\n%s", issuer, id);
	digest(HASH_SHA256, buf_str(&b), d);
	buf_clear(&b);
	memcpy(&key, d, sizeof key);
	pthread_mutex_lock(&used_lock);
	if (!used)
		used = idmap_new();
	if (idmap_count(used) >= IDS_MAX)
		forget_expired(now_s);
	/* Full of ids that are still valid: somebody with a key goes wild; nobody more comes in than can be remembered. */
	fresh = !idmap_get(used, key) && idmap_count(used) < IDS_MAX;
	if (fresh)
		idmap_put(used, key, (void *)(uintptr_t)(expires_s + LEEWAY_S));
	pthread_mutex_unlock(&used_lock);
	return fresh;
}

/* ---- verifying ---- */

static bool times_fit(jwt_t *j, uint64_t now_s, uint64_t *out_expires)
{
	long exp = jwt_get_grant_int(j, "exp"), nbf = jwt_get_grant_int(j, "nbf"), iat = jwt_get_grant_int(j, "iat");
	long now = (long)now_s;

	*out_expires = exp > 0 ? (uint64_t)exp : 0;
	return exp > 0 && exp + LEEWAY_S > now && exp - now < ID_LIFE_MAX_S && nbf <= now + LEEWAY_S &&
	       iat <= now + LEEWAY_S;
}

static bool claim_is(jwt_t *j, const char *name, const char *wanted)
{
	const char *got = jwt_get_grant(j, name);

	return got && strcmp(got, wanted) == 0; /* public: a claim, not a secret */
}

/* The key for the issuer and algorithm that the token names, before anything of it is believed. */
static const struct key *key_for(const char *token, struct str domain)
{
	const struct key *found = NULL;
	jwt_t *j;

	if (jwt_decode(&j, token, NULL, 0))
		return NULL;
	const char *alg = jwt_get_header(j, "alg");   /* jwt_get_alg() tells only what was verified */
	for (size_t i = 0; i < n_keys && !found; i++) /* public: names of algorithms */
		if (claim_is(j, "iss", keys[i].issuer) && alg &&
		    strcmp(alg, jwt_alg_str(algorithms[keys[i].algorithm])) == 0 &&
		    (!domain.p || str_eq_c(domain, keys[i].domain)))
			found = &keys[i];
	jwt_free(j);
	return found;
}

static int verify(struct arena *a, const char *token, struct str domain, struct portal_login *out)
{
	const struct key *k = key_for(token, domain);
	uint64_t now_s = clock_wall_ms() / 1000, expires;
	jwt_t *j;
	int err = ERR_AUTH;

	if (!k || jwt_decode(&j, token, k->data, (int)k->n))
		return ERR_AUTH;
	const char *sub = jwt_get_grant(j, "sub"), *id = jwt_get_grant(j, "jti");
	struct str local;
	if (jwt_get_alg(j) == algorithms[k->algorithm] && claim_is(j, "iss", k->issuer) &&
	    claim_is(j, "aud", k->audience) && times_fit(j, now_s, &expires) && sub &&
	    jid_prep_local(a, str_c(sub), &local) == 0 && (!id || first_use(k->issuer, id, now_s, expires))) {
		out->local = arena_str(a, local);
		out->domain = arena_str(a, str_c(k->domain));
		err = 0;
	}
	jwt_free(j);
	return err;
}

int portal_verify(struct arena *a, struct str token, struct str domain, struct portal_login *out)
{
	struct auth_account acc;

	*out = (struct portal_login){ 0 };
	if (!token.n || token.n > TOKEN_MAX || memchr(token.p, 0, token.n))
		return ERR_AUTH;
	pthread_rwlock_rdlock(&keys_lock);
	int err = verify(a, arena_str(a, token).p, domain, out);
	pthread_rwlock_unlock(&keys_lock);
	if (err)
		return err;
	err = auth_lookup(out->domain, out->local, &acc);
	out->account_id = acc.id;
	out->credentials_epoch = acc.credentials_epoch;
	out->is_admin = acc.is_admin;
	bool exists = acc.exists, disabled = acc.disabled;
	secret_wipe(&acc, sizeof acc);
	if (err)
		return err;
	return !exists ? ERR_AUTH : disabled ? ERR_FORBIDDEN : 0;
}
