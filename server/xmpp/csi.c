/* Client state indication (XEP-0352): while the client is inactive, presence waits (the newest of each address) and chat states are dropped; the first
 * thing that matters lets everything go first, in order. */
#include "base/hash.h"
#include "server/xmpp/session_xmpp.h"

#define HELD_MAX 2000 /* addresses; then everything goes out, so that memory stays bounded */

static void drop(struct xsession *xs, struct csi_held *h)
{
	hash_del(xs->held, h->from);
	list_del(&h->link);
	chunk_unref(h->bytes);
	mem_free(h);
}

void csi_flush(struct xsession *xs)
{
	while (!list_empty(&xs->held_order)) {
		struct csi_held *h = list_entry(xs->held_order.next, struct csi_held, link);
		struct chunk *bytes = chunk_ref(h->bytes);
		drop(xs, h);
		xsession_write(xs, STR_NONE, bytes, STR_NONE, (struct kept_id){ 0 }, false);
		chunk_unref(bytes);
	}
}

bool csi_hold(struct xsession *xs, const struct outgoing *o, struct str head, struct str tail)
{
	if (!o->hold_while_inactive)
		return false;
	if (o->kind != STANZA_PRESENCE)
		return true; /* a chat state is worth nothing later */
	if (!xs->held)
		xs->held = hash_new();
	struct csi_held *old = hash_get(xs->held, o->from);
	if (old)
		drop(xs, old);
	if (hash_count(xs->held) >= HELD_MAX)
		csi_flush(xs);

	struct csi_held *h = mem_zero(sizeof *h + o->from.n);
	struct str payload = chunk_str(o->payload);
	h->bytes = chunk_alloc(head.n + payload.n + tail.n);
	memcpy(h->bytes->data, head.p, head.n);
	if (payload.n)
		memcpy(h->bytes->data + head.n, payload.p, payload.n);
	memcpy(h->bytes->data + head.n + payload.n, tail.p, tail.n);
	memcpy(h->from_bytes, o->from.p, o->from.n);
	h->from = str_of(h->from_bytes, o->from.n);
	hash_put(xs->held, h->from, h);
	list_add(&xs->held_order, &h->link);
	return true;
}

void csi_set(struct xsession *xs, bool inactive)
{
	xs->s.inactive = inactive;
	if (!inactive && xs->held)
		csi_flush(xs);
}

void csi_free(struct xsession *xs)
{
	while (!list_empty(&xs->held_order))
		drop(xs, list_entry(xs->held_order.next, struct csi_held, link));
	hash_free(xs->held);
	xs->held = NULL;
}
