/*
 * Displayed synchronisation (XEP-0490): a published marker moves the read cursor of the dialog, and a cursor that was moved otherwise (inbox, API, XEP-0333)
 * puts the marker into the node of people whose clients keep one. Home thread of the person; apply() on the writer thread.
 */
#include "server/xmpp/mds.h"
#include "base/clock.h"
#include "server/im/conv.h"
#include "server/im/event.h"
#include "server/im/im.h"
#include "server/im/inbox.h"
#include "server/im/opaque.h"
#include "server/im/person.h"
#include "server/xmpp/inbox.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/pep.h"
#include "storage/tab_chat.h"
#include <string.h>

/* ---- a client says it ---- */

uint64_t mds_target(struct arena *a, uint32_t account, const struct jid *owner, struct str id,
		    const struct node *payload, uint64_t *out_seq)
{
	struct node *sid = node_child(payload, A_stanza_id, NS_SID);
	struct message_rec m;
	uint64_t gid, conv;

	if (!sid || opaque_parse(node_attr(sid, "id"), &gid))
		return 0;
	struct txn *t = im_read();
	conv = inbox_conv(a, t, account, jid_domain(owner), id);
	/* section 3: the archive that gave the id, ours or the chat's */
	bool fits = conv && str_eq(node_attr(sid, "by"), conv_kind(conv) == CONV_CHAT ? id : owner->full) &&
		    message_get(t, gid, &m) == 0 && m.conv == conv;
	txn_commit(t);
	*out_seq = fits ? m.seq : 0;
	return fits ? conv : 0;
}

/* ---- the cursor moved otherwise ---- */

struct mds_op {
	struct write_op op;
	struct arena *a;
	uint32_t account;
	struct jid owner;
	struct str item, gid, payload;
	bool told; /* result of apply */
};

static bool holds(struct str text, struct str word)
{
	return word.n && text.n && memmem(text.p, text.n, word.p, word.n);
}

/* Only into a node that a client made: others have no use for it. */
static int put_marker(struct txn *t, struct write_op *op)
{
	struct mds_op *o = (struct mds_op *)op;
	struct pep_node node;
	struct pep_item old, item = {
		.id = o->item, .publisher = o->owner.full, .payload = o->payload, .published_ms = clock_wall_ms()
	};
	struct pep_config c;

	o->told = false;
	if (pep_node_get(t, o->account, STR(MDS_NODE), &node) ||
	    (pep_item_get(t, &node, o->item, &old) == 0 && holds(old.payload, o->gid)))
		return txn_error(t);
	pep_config_default(STR(MDS_NODE), &c);
	int err = pep_put_item(t, o->account, STR(MDS_NODE), &item, &c, &node);
	o->told = !err;
	return err;
}

static void marker_put(struct write_op *op, int err, unsigned worker)
{
	struct mds_op *o = (struct mds_op *)op;
	struct pep_event e = { .kind = PEP_EVENT_ITEM,
			       .access = ACCESS_WHITELIST,
			       .owner = o->account,
			       .bare = o->owner.full,
			       .node = STR(MDS_NODE),
			       .item = o->item,
			       .publisher = o->owner.full,
			       .payload = o->payload };

	(void)worker;
	if (!err && o->told)
		pep_tell(&e);
}

static void op_free(struct write_op *op)
{
	arena_free(((struct mds_op *)op)->a);
}

static struct str address_of(struct arena *a, struct txn *t, const struct jid *owner, uint32_t me, uint64_t conv)
{
	struct chat_rec r;

	switch (conv_kind(conv)) {
	case CONV_CHAT: return chat_rec_get(t, conv_chat_number(conv), &r) ? STR_NONE : muc_address(a, &r);
	case CONV_NOTIFY: return arena_cat(a, STR("notify."), jid_domain(owner), STR_NONE);
	case CONV_PRIVATE: break;
	}
	return person_address(a, t, conv_peer(conv, me));
}

static bool keeps_markers(struct txn *t, uint32_t account)
{
	struct pep_node node;

	return pep_node_get(t, account, STR(MDS_NODE), &node) == 0;
}

/* An event of a chat comes on every worker. */
static void on_read(const struct event *e)
{
	struct txn *t;
	struct dialog d;
	char id[OPAQUE_LEN];

	if (!e->account || person_home(e->account) != (unsigned)threads_self())
		return;
	t = im_read();
	if (keeps_markers(t, e->account) && inbox_get(t, e->account, e->conv, &d) == 0 && d.read_gid) {
		struct arena *a = arena_new(1024);
		struct mds_op *o = ARENA_NEW(a, struct mds_op);
		o->op = (struct write_op){ .apply = put_marker, .done = marker_put, .free = op_free };
		o->a = a;
		o->account = e->account;
		o->owner = person_jid(a, e->account);
		o->item = address_of(a, t, &o->owner, e->account, e->conv);
		opaque_print(d.read_gid, id);
		o->gid = arena_str(a, str_of(id, OPAQUE_LEN));
		o->payload = arena_cat(a, STR("<displayed xmlns='" MDS_NODE "'><stanza-id xmlns='urn:xmpp:sid:0' by='"),
				       conv_kind(e->conv) == CONV_CHAT ? o->item : o->owner.full, STR("' id='"), o->gid,
				       STR("'/></displayed>"), STR_NONE);
		if (o->item.n && !jid_is_none(&o->owner))
			im_write(&o->op);
		else
			arena_free(a);
	}
	txn_commit(t);
}

void mds_init(void)
{
	event_observe(1u << EVENT_READ, on_read);
}
