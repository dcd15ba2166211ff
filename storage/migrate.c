/*
 * Schema version and server secret, both in META (row D14). Runs once after opening, before other threads use the store.
 * One transaction does the whole upgrade, so a kill at any moment leaves the old version or the new one.
 */
#include "storage/migrate.h"
#include "storage/engine_impl.h"
#include "storage/key.h"
#include "storage/record.h"
#include "storage/tab_message.h"
#include "base/crypto.h"
#include "base/random.h"
#include <string.h>

enum { SECRET_BYTES = 32, RECORD_MAX = 64 };

static int read_schema(struct txn *t, uint64_t *out)
{
	struct recr r;
	struct str v;
	int err = txn_get(t, TAB_META, STR("schema"), &v);

	if (err)
		return err;
	err = recr_open(&r, v);
	*out = recr_u64(&r);
	return err ? err : r.err;
}

static void write_schema(struct txn *t, uint64_t version)
{
	struct recw w;

	recw_init(&w, RECORD_MAX);
	recw_begin(&w, 1);
	recw_u64(&w, version);
	txn_put(t, TAB_META, STR("schema"), recw_finish(&w), 0);
	recw_clear(&w);
}

static void write_secret(struct txn *t)
{
	uint8_t secret[SECRET_BYTES];
	struct recw w;

	random_bytes(secret, sizeof(secret));
	recw_init(&w, RECORD_MAX);
	recw_begin(&w, 1);
	recw_str(&w, str_of((const char *)secret, sizeof(secret)));
	txn_put(t, TAB_META, STR("secret"), recw_finish(&w), 0);
	secret_wipe(w.b.p, w.b.n);
	recw_clear(&w);
	secret_wipe(secret, sizeof(secret));
}

/* To version 2: a row of CURSOR is a dialog of a person, so each conversation that his log knows gets one. */
static int make_dialogs(struct txn *t)
{
	struct scan s;
	uint32_t account = 0;
	uint64_t conv = 0;

	scan_open(&s, t, TAB_ACCOUNT_LOG, STR_NONE, STR_NONE);
	while (scan_next(&s)) {
		struct str key = s.key;
		struct recr r;
		uint32_t a = key_get_u32(&key);
		if (recr_open(&r, s.value))
			continue;
		uint64_t c = recr_u64(&r);
		if (r.err || (a == account && c == conv))
			continue;
		account = a;
		conv = c;
		cursor_touch(t, account, conv);
	}
	scan_close(&s);
	return txn_error(t);
}

/* steps[v - 1] goes up from version v. The steps of released versions stay here for ever. */
static int (*const steps[])(struct txn *t) = { make_dialogs };

static int upgrade_from(struct txn *t, uint64_t version)
{
	return version >= 1 && version <= sizeof steps / sizeof *steps ? steps[version - 1](t) : ERR_VERSION;
}

static int make_current(struct txn *t, void *ctx)
{
	uint64_t version = 0;
	int err = read_schema(t, &version);

	(void)ctx;
	if (err == ERR_NOT_FOUND) {
		write_secret(t);
		write_schema(t, SCHEMA_VERSION);
		return 0;
	}
	for (; !err && version < SCHEMA_VERSION; version++)
		err = upgrade_from(t, version);
	if (!err)
		write_schema(t, SCHEMA_VERSION);
	return err;
}

int migrate_check(struct store *s, struct err_msg *msg)
{
	struct txn *t = txn_read(s);
	uint64_t version = 0;
	int err = read_schema(t, &version);

	txn_abort(t);
	if (!err && version > SCHEMA_VERSION)
		return err_set(msg, ERR_VERSION,
			       "the data were written by a newer vestnik (format %llu, this one knows up to %d): "
			       "install that version or put an older backup there",
			       (unsigned long long)version, SCHEMA_VERSION);
	if (err && err != ERR_NOT_FOUND)
		return err_set(msg, err, "cannot read the format version of the data (%s): put a backup there",
			       err_text(err));
	if (err == ERR_NOT_FOUND && s->read_only)
		return err_set(msg, ERR_VERSION, "the data have no format version: this is no backup of vestnik");
	if (err || (version < SCHEMA_VERSION && !s->read_only)) {
		err = store_apply(s, make_current, NULL);
		if (err)
			return err_set(msg, err, "cannot bring the data to format %d: %s", SCHEMA_VERSION,
				       err_text(err));
		version = SCHEMA_VERSION;
	}
	s->schema = version;
	return 0;
}

int store_secret(struct store *s, uint8_t out[32])
{
	struct txn *t = txn_read(s);
	struct str v, secret;
	struct recr r;
	int err = txn_get(t, TAB_META, STR("secret"), &v);

	if (!err)
		err = recr_open(&r, v);
	if (!err) {
		secret = recr_str(&r);
		err = secret.n == SECRET_BYTES ? 0 : ERR_CORRUPT;
	}
	if (!err)
		memcpy(out, secret.p, SECRET_BYTES);
	txn_abort(t);
	return err;
}
