/*
 * Messages: bodies appended in one global order, small index entries beside them (docs/storage.md).
 *
 * The write functions run on the writer thread only and keep three caches there: the last gid and its time, the last seq of each
 * conversation, and the origin ids of the last 24 hours of each author (row D05). The caches describe committed data plus the open
 * transaction; when a batch is aborted they run ahead of the table, which the next append notices by comparing the last gid, and drops them.
 */
#include "storage/tab_message.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storage/key.h"
#include "storage/record.h"

#define DEDUP_WINDOW_US (24ull * 3600 * 1000000)
#define CACHED_IDS_MAX (4u << 20) /* all authors together; beyond it the caches start again */

struct author_ids {
	struct idmap *ids;    /* origin id hash -> gid */
	struct idmap *former; /* what ids was before it was full: the newest max_ids are known at any time */
	struct author_ids *next;
};
static struct {
	bool loaded;
	uint64_t last_gid, last_wall_us;
	struct idmap *seqs;    /* conversation -> last seq */
	struct idmap *authors; /* account -> struct author_ids */
	struct author_ids *all;
	size_t n_ids;
	struct recw body, index;
	bool have_buffers;
} cache;

void message_caches_drop(void)
{
	while (cache.all) {
		struct author_ids *a = cache.all;
		cache.all = a->next;
		idmap_free(a->ids);
		idmap_free(a->former);
		mem_free(a);
	}
	idmap_free(cache.seqs);
	idmap_free(cache.authors);
	cache.seqs = cache.authors = NULL;
	cache.n_ids = 0;
	cache.loaded = false;
	if (cache.have_buffers) {
		recw_clear(&cache.body);
		recw_clear(&cache.index);
		cache.have_buffers = false;
	}
}

static struct str gid_key(struct key *k, uint64_t gid)
{
	key_init(k);
	key_u64(k, gid);
	return key_str(k);
}

static struct str conv_key(struct key *k, uint64_t conv, uint64_t seq)
{
	key_init(k);
	key_u64(k, conv);
	key_u64(k, seq);
	return key_str(k);
}

static struct str account_key(struct key *k, uint32_t account, uint64_t gid)
{
	key_init(k);
	key_u32(k, account);
	key_u64(k, gid);
	return key_str(k);
}

static int decode_body(struct str value, uint64_t gid, struct message_rec *out)
{
	struct recr r;
	int err = recr_open(&r, value);
	if (err)
		return err;
	*out = (struct message_rec){ .gid = gid };
	out->conv = recr_u64(&r);
	out->seq = recr_u64(&r);
	out->wall_us = recr_u64(&r);
	out->author = (uint32_t)recr_u64(&r);
	out->recipient = (uint32_t)recr_u64(&r);
	out->type = (uint8_t)recr_u64(&r);
	out->flags = (unsigned)recr_u64(&r);
	out->from = recr_str(&r);
	out->to = recr_str(&r);
	out->id = recr_str(&r);
	out->origin_id = recr_str(&r);
	out->lang = recr_str(&r);
	out->payload = recr_str(&r);
	if (!recr_more(&r))
		return r.err;
	out->edits = recr_u64(&r);
	out->newest_edit = recr_u64(&r);
	return r.err;
}

static void put_body(struct txn *t, const struct message_rec *m, unsigned put_flags)
{
	struct recw *w = &cache.body;
	struct key k;

	recw_begin(w, 1);
	recw_u64(w, m->conv);
	recw_u64(w, m->seq);
	recw_u64(w, m->wall_us);
	recw_u64(w, m->author);
	recw_u64(w, m->recipient);
	recw_u64(w, m->type);
	recw_u64(w, m->flags);
	recw_str(w, m->from);
	recw_str(w, m->to);
	recw_str(w, m->id);
	recw_str(w, m->origin_id);
	recw_str(w, m->lang);
	recw_str(w, m->payload);
	if (m->edits || m->newest_edit) {
		recw_u64(w, m->edits);
		recw_u64(w, m->newest_edit);
	}
	txn_put(t, TAB_MESSAGE, gid_key(&k, m->gid), recw_finish(w), put_flags);
}

/* mentioned: packed account ids, see pack_mentions. */
static void put_conv_entry(struct txn *t, const struct message_rec *m, struct str mentioned)
{
	struct recw *w = &cache.index;
	struct key k;

	recw_begin(w, 1);
	recw_u64(w, m->gid);
	recw_u64(w, m->author);
	recw_u64(w, m->flags);
	if (mentioned.n)
		recw_str(w, mentioned);
	txn_put(t, TAB_CONV_LOG, conv_key(&k, m->conv, m->seq), recw_finish(w), 0);
}

#define MENTION_BYTES 4

static void pack_mentions(struct buf *b, const struct message_rec *m)
{
	struct key k;

	for (size_t i = 0; i < m->n_mentions; i++) {
		key_init(&k);
		key_u32(&k, m->mentions[i]);
		buf_str_add(b, key_str(&k));
	}
}

bool log_mentions(const struct log_entry *e, uint32_t account)
{
	if (e->flags & MESSAGE_ALL)
		return true;
	for (struct str rest = e->mentioned; rest.n >= MENTION_BYTES;)
		if (key_get_u32(&rest) == account)
			return true;
	return false;
}

static uint64_t origin_hash(const struct message_rec *m)
{
	if (str_empty(m->origin_id))
		return 0;
	uint64_t h = str_hash_stable(m->origin_id) ^ (m->conv * 0x9e3779b97f4a7c15ull);
	return h ? h : 1;
}

static void put_account_entry(struct txn *t, const struct message_rec *m, uint32_t account, uint32_t peer,
			      unsigned flags)
{
	struct recw *w = &cache.index;
	struct key k;

	recw_begin(w, 1);
	recw_u64(w, m->conv);
	recw_u64(w, m->seq);
	recw_u64(w, peer);
	recw_u64(w, flags);
	recw_u64(w, account == m->author ? origin_hash(m) : 0);
	txn_put(t, TAB_ACCOUNT_LOG, account_key(&k, account, m->gid), recw_finish(w), 0);
}

static int decode_account_entry(struct str value, struct log_entry *e, uint64_t *out_origin)
{
	struct recr r;
	int err = recr_open(&r, value);
	if (err)
		return err;
	e->conv = recr_u64(&r);
	e->seq = recr_u64(&r);
	e->peer = (uint32_t)recr_u64(&r);
	e->flags = (unsigned)recr_u64(&r);
	*out_origin = recr_u64(&r);
	return r.err;
}

uint64_t message_last_gid(struct txn *t)
{
	struct scan s;
	uint64_t gid = 0;

	scan_open_reverse(&s, t, TAB_MESSAGE, STR_NONE, STR_NONE);
	if (scan_next(&s)) {
		struct str key = s.key;
		gid = key_get_u64(&key);
	}
	scan_close(&s);
	return gid;
}

int message_get(struct txn *t, uint64_t gid, struct message_rec *out)
{
	struct key k;
	struct str value;
	int err = txn_get(t, TAB_MESSAGE, gid_key(&k, gid), &value);
	return err ? err : decode_body(value, gid, out);
}

uint64_t message_gid_at(struct txn *t, uint64_t wall_us)
{
	uint64_t lo = 1, hi = message_last_gid(t) + 1;

	while (lo < hi) { /* the first gid whose time is >= wall_us; times rise with gid */
		uint64_t mid = lo + (hi - lo) / 2;
		struct message_rec m;
		int err = message_get(t, mid, &m);
		if (err == 0 && m.wall_us < wall_us)
			lo = mid + 1;
		else if (err == ERR_NOT_FOUND)
			lo = mid + 1; /* removed by retention: older ones go first */
		else
			hi = mid;
	}
	return lo;
}

/* Reads the end of the tables once, and again after an aborted batch. */
static void cache_check(struct txn *t)
{
	uint64_t last = message_last_gid(t);

	if (cache.loaded && last == cache.last_gid && cache.n_ids <= CACHED_IDS_MAX)
		return;
	message_caches_drop();
	cache.loaded = true;
	cache.last_gid = last;
	cache.last_wall_us = 0;
	cache.seqs = idmap_new();
	cache.authors = idmap_new();
	recw_init(&cache.body, 32u << 20);
	recw_init(&cache.index, 65536);
	cache.have_buffers = true;
	struct message_rec m;
	if (last && message_get(t, last, &m) == 0)
		cache.last_wall_us = m.wall_us;
}

static struct author_ids *author_load(struct txn *t, uint32_t author, uint64_t now_us, uint64_t max_ids)
{
	struct author_ids *a = idmap_get(cache.authors, author);
	if (a)
		return a;
	a = NEW(struct author_ids);
	a->ids = idmap_new();
	a->next = cache.all;
	cache.all = a;
	idmap_put(cache.authors, author, a);

	uint64_t oldest = message_gid_at(t, now_us > DEDUP_WINDOW_US ? now_us - DEDUP_WINDOW_US : 0);
	struct scan s;
	struct key prefix;
	key_init(&prefix);
	key_u32(&prefix, author);
	scan_open_reverse(&s, t, TAB_ACCOUNT_LOG, key_str(&prefix), STR_NONE);
	while (idmap_count(a->ids) < max_ids && scan_next(&s)) {
		struct str key = s.key;
		struct log_entry e;
		uint64_t origin;
		key_get_u32(&key);
		uint64_t gid = key_get_u64(&key);
		if (gid < oldest)
			break;
		if (decode_account_entry(s.value, &e, &origin) || !origin)
			continue;
		idmap_put(a->ids, origin, (void *)(uintptr_t)gid);
		cache.n_ids++;
	}
	scan_close(&s);
	return a;
}

/* The gid of an earlier copy, or 0. */
static uint64_t find_duplicate(struct txn *t, const struct message_rec *m, struct author_ids *a, uint64_t now_us)
{
	uint64_t hash = origin_hash(m), gid = (uintptr_t)idmap_get(a->ids, hash);
	struct message_rec old;

	if (!gid && a->former)
		gid = (uintptr_t)idmap_get(a->former, hash);
	if (!gid || message_get(t, gid, &old))
		return 0;
	if (old.conv != m->conv || !str_eq(old.origin_id, m->origin_id))
		return 0;
	return now_us < old.wall_us + DEDUP_WINDOW_US ? gid : 0;
}

uint64_t conv_last_seq(struct txn *t, uint64_t conv)
{
	struct scan s;
	struct key prefix;
	uint64_t seq = 0;

	key_init(&prefix);
	key_u64(&prefix, conv);
	scan_open_reverse(&s, t, TAB_CONV_LOG, key_str(&prefix), STR_NONE);
	if (scan_next(&s)) {
		struct str key = s.key;
		key_get_u64(&key);
		seq = key_get_u64(&key);
	}
	scan_close(&s);
	return seq;
}

static uint64_t next_seq(struct txn *t, uint64_t conv)
{
	uint64_t seq = (uintptr_t)idmap_get(cache.seqs, conv);

	if (!seq)
		seq = conv_last_seq(t, conv);
	idmap_put(cache.seqs, conv, (void *)(uintptr_t)(seq + 1));
	return seq + 1;
}

static void remember_id(struct author_ids *a, const struct message_rec *m, uint64_t max_ids)
{
	if (idmap_count(a->ids) >= max_ids) {
		if (a->former)
			cache.n_ids -= idmap_count(a->former);
		idmap_free(a->former);
		a->former = a->ids;
		a->ids = idmap_new();
	}
	if (!idmap_put(a->ids, origin_hash(m), (void *)(uintptr_t)m->gid))
		cache.n_ids++;
}

/* The first message of a private conversation, or of a person's notifications: it becomes a dialog of its ends. Chats have theirs by membership. */
static void open_dialogs(struct txn *t, const struct message_rec *m)
{
	bool private = m->conv >> 62 == 0;

	if (m->recipient)
		cursor_touch(t, m->recipient, m->conv);
	if (private && m->author && m->author != m->recipient)
		cursor_touch(t, m->author, m->conv);
}

int message_append(struct txn *t, struct message_rec *m, uint64_t now_us, uint64_t max_ids)
{
	struct author_ids *ids = NULL;

	if (txn_error(t))
		return txn_error(t); /* the tables look empty then: nothing may be learned from them */
	cache_check(t);
	if (!str_empty(m->origin_id)) {
		ids = author_load(t, m->author, now_us, max_ids);
		uint64_t first = find_duplicate(t, m, ids, now_us);
		if (first) {
			m->gid = first;
			return ERR_EXISTS;
		}
	}
	m->gid = ++cache.last_gid;
	m->wall_us = now_us > cache.last_wall_us ? now_us : cache.last_wall_us + 1;
	cache.last_wall_us = m->wall_us;
	m->seq = next_seq(t, m->conv);
	put_body(t, m, TXN_APPEND);
	struct buf mentioned;
	buf_init(&mentioned, 65536);
	pack_mentions(&mentioned, m);
	put_conv_entry(t, m, buf_str(&mentioned));
	buf_clear(&mentioned);
	if (m->seq == 1)
		open_dialogs(t, m);
	if (m->recipient)
		put_account_entry(t, m, m->recipient, m->author, m->flags | MESSAGE_INCOMING);
	if (m->author && m->author != m->recipient)
		put_account_entry(t, m, m->author, m->recipient, m->flags);
	if (ids)
		remember_id(ids, m, max_ids);
	return txn_error(t);
}

/* The record again with other flags, and its log entry. The slices of m point into the value that is about to be replaced; the record is built in a
 * buffer first. A tombstone mentions nobody any more. */
static void put_again(struct txn *t, const struct message_rec *m, struct str mentioned)
{
	put_body(t, m, 0);
	put_conv_entry(t, m, mentioned);
}

#define EDITS_MAX 10000 /* a chain of damaged records ends here */

int message_tombstone(struct txn *t, uint64_t gid, struct str payload)
{
	struct message_rec m;
	int err = message_get(t, gid, &m);

	if (err)
		return err;
	cache_check(t);
	for (unsigned n = 0; !err && n < EDITS_MAX; n++) {
		uint64_t next = m.newest_edit;
		m.flags = (m.flags & ~(MESSAGE_COUNTS | MESSAGE_EDITED | MESSAGE_ALL)) | MESSAGE_RETRACTED;
		m.payload = payload;
		m.newest_edit = 0;
		put_again(t, &m, STR_NONE);
		if (!next)
			break;
		err = message_get(t, next, &m);
	}
	reaction_del_all(t, gid);
	return txn_error(t);
}

int message_retract(struct txn *t, uint64_t gid, uint32_t author, struct str payload)
{
	struct message_rec m;
	int err = message_get(t, gid, &m);

	if (err)
		return err;
	return m.author == author ? message_tombstone(t, gid, payload) : ERR_FORBIDDEN;
}

/* What a log entry holds of mentions, copied into b. */
static void read_mentioned(struct txn *t, const struct message_rec *m, struct buf *b)
{
	struct key k;
	struct str value;
	struct recr r;

	if (txn_get(t, TAB_CONV_LOG, conv_key(&k, m->conv, m->seq), &value) || recr_open(&r, value))
		return;
	recr_u64(&r), recr_u64(&r), recr_u64(&r);
	if (recr_more(&r))
		buf_str_add(b, recr_str(&r));
}

int message_set_edit(struct txn *t, uint64_t gid, const struct message_rec *edit)
{
	struct message_rec m;
	struct buf mentioned;
	int err = message_get(t, gid, &m);

	if (err)
		return err;
	cache_check(t);
	buf_init(&mentioned, 65536);
	read_mentioned(t, &m, &mentioned);
	m.flags |= MESSAGE_EDITED;
	m.newest_edit = edit->gid;
	put_again(t, &m, buf_str(&mentioned));
	buf_clear(&mentioned);
	return txn_error(t);
}

uint64_t conv_gid_at(struct txn *t, uint64_t conv, uint64_t seq)
{
	struct key k;
	struct str value;
	struct recr r;

	if (txn_get(t, TAB_CONV_LOG, conv_key(&k, conv, seq), &value) || recr_open(&r, value))
		return 0;
	return recr_u64(&r);
}

/* First seq of the conversation whose gid is >= gid (the log may have holes where records are damaged or removed). */
static uint64_t conv_seq_at(struct txn *t, uint64_t conv, uint64_t gid)
{
	uint64_t lo = 1, hi = conv_last_seq(t, conv) + 1;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2, g = conv_gid_at(t, conv, mid);
		if (g < gid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void log_scan_open(struct log_scan *ls, struct txn *t, uint32_t account, uint64_t conv, uint64_t from_gid, bool reverse)
{
	struct key prefix, from;
	bool to_end = reverse && from_gid == UINT64_MAX;

	*ls = (struct log_scan){ .account = account, .conv = conv };
	key_init(&prefix);
	if (conv) {
		uint64_t seq = to_end ? 0 : conv_seq_at(t, conv, from_gid);
		if (reverse && !to_end && conv_gid_at(t, conv, seq) != from_gid)
			seq--; /* >= becomes <= */
		key_u64(&prefix, conv);
		conv_key(&from, conv, seq);
	} else {
		key_u32(&prefix, account);
		account_key(&from, account, from_gid);
	}
	struct str bound = to_end ? STR_NONE : key_str(&from);
	if (reverse)
		scan_open_reverse(&ls->s, t, conv ? TAB_CONV_LOG : TAB_ACCOUNT_LOG, key_str(&prefix), bound);
	else
		scan_open(&ls->s, t, conv ? TAB_CONV_LOG : TAB_ACCOUNT_LOG, key_str(&prefix), bound);
}

static bool read_conv_step(struct log_scan *ls, struct log_entry *e)
{
	struct str key = ls->s.key;
	struct recr r;

	e->conv = key_get_u64(&key);
	e->seq = key_get_u64(&key);
	if (recr_open(&r, ls->s.value))
		return false;
	e->gid = recr_u64(&r);
	e->peer = (uint32_t)recr_u64(&r);
	e->flags = (unsigned)recr_u64(&r);
	if (recr_more(&r))
		e->mentioned = recr_str(&r);
	return r.err == 0;
}

static bool read_account_step(struct log_scan *ls, struct log_entry *e)
{
	struct str key = ls->s.key;
	uint64_t origin;

	key_get_u32(&key);
	e->gid = key_get_u64(&key);
	return decode_account_entry(ls->s.value, e, &origin) == 0;
}

bool log_scan_next(struct log_scan *ls, struct log_entry *out)
{
	while (scan_next(&ls->s)) { /* damaged entries are passed over, never served (row D12) */
		*out = (struct log_entry){ 0 };
		if (ls->conv ? read_conv_step(ls, out) : read_account_step(ls, out))
			return true;
	}
	return false;
}

void log_scan_close(struct log_scan *ls)
{
	scan_close(&ls->s);
}

uint64_t message_find(struct txn *t, uint64_t conv, uint32_t author, struct str id, unsigned max)
{
	struct log_scan ls;
	struct log_entry e;
	struct message_rec m;
	uint64_t found = 0;

	if (str_empty(id))
		return 0; /* most messages have one of the two ids only */
	log_scan_open(&ls, t, 0, conv, UINT64_MAX, true);
	while (!found && max-- && log_scan_next(&ls, &e)) {
		if (e.peer != author || message_get(t, e.gid, &m))
			continue;
		if (str_eq(m.origin_id, id) || str_eq(m.id, id))
			found = e.gid;
	}
	log_scan_close(&ls);
	return found;
}
