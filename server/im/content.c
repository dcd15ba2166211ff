/* What a stored message says: the dialect reads the payload, here the ids that it names become numbers. Any thread. */
#include "server/im/content.h"
#include "base/err.h"
#include "server/im/opaque.h"
#include "server/net/limits.h"

struct content_codec content_codec;

static bool is_in(struct txn *t, uint64_t conv, uint32_t author, uint64_t gid)
{
	struct message_rec m;

	return message_get(t, gid, &m) == 0 && m.conv == conv && (!author || m.author == author);
}

uint64_t content_find(struct txn *t, uint64_t conv, uint32_t author, struct str id, uint64_t before)
{
	uint64_t gid, found = 0, left = limits()->look_back;
	struct log_scan ls;
	struct log_entry e;
	struct message_rec m;

	if (str_empty(id))
		return 0;
	if (opaque_parse(id, &gid) == 0 && is_in(t, conv, author, gid))
		return gid;
	log_scan_open(&ls, t, 0, conv, before ? before - 1 : UINT64_MAX, true);
	while (!found && left-- && log_scan_next(&ls, &e)) {
		if ((author && e.peer != author) || message_get(t, e.gid, &m))
			continue;
		if (str_eq(m.origin_id, id) || str_eq(m.id, id))
			found = e.gid;
	}
	log_scan_close(&ls);
	return found;
}

void content_of(struct arena *a, struct txn *t, const struct message_rec *m, struct content *out)
{
	content_codec.read(a, m->payload, out);
	out->lang = m->lang.n ? arena_str(a, m->lang) : STR_NONE;
	if (m->flags & MESSAGE_RETRACTED)
		out->retracted = true;
	out->reply_gid = content_find(t, m->conv, 0, out->reply_id, m->gid);
	out->reacts_gid = content_find(t, m->conv, 0, out->reacts_id, m->gid);
	out->edits_gid = content_find(t, m->conv, m->author, out->edits_id, m->gid);
	out->retracts_gid = content_find(t, m->conv, 0, out->retracts_id, m->gid);
}
