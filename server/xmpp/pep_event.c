/*
 * Events of PEP nodes (XEP-0163 section 4): printed once, sent once to every worker, each writes to its own sessions
 * that want the node and may see the owner; and the last items for a session that just said what it wants. Headlines
 * from the owner's bare JID, never stored.
 */
#include "base/random.h"
#include "server/im/fanout.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/xmpp/caps.h"
#include "server/xmpp/pep.h"
#include "storage/tab_roster.h"
#include "xml/print.h"
#include <string.h>

enum { LAST_ITEMS_MAX = 5000, LAST_BYTES_MAX = 4 << 20 }; /* of one login */

struct mail_event {
	uint32_t owner;
	enum pep_access access;
	struct jid bare; /* behind the struct, as node */
	struct str node;
	struct chunk *payload;
	char bytes[];
};

bool pep_may_see(uint32_t viewer, const struct jid *viewer_jid, uint32_t owner, const struct jid *owner_bare)
{
	struct jid viewer_bare = jid_to_bare(*viewer_jid);

	if (viewer == owner)
		return true;
	if (!owner || !presence_may_see(viewer, owner))
		return false;
	return !peer_blocks(peer_get(owner_bare), viewer_jid) && !peer_blocks(peer_get(&viewer_bare), owner_bare);
}

static void print_item(struct buf *b, struct str id, struct str publisher, struct str payload)
{
	buf_lit(b, "<item");
	print_attr(b, "id", id);
	if (publisher.n)
		print_attr(b, "publisher", publisher);
	if (payload.n) {
		buf_lit(b, ">");
		buf_str_add(b, payload);
		buf_lit(b, "</item>");
	} else {
		buf_lit(b, "/>");
	}
}

static struct chunk *print_event(const struct pep_event *e)
{
	static const char *const elements[] = { "items", "items", "purge", "delete" };
	const char *name = elements[e->kind];
	struct buf b;

	buf_init(&b, 64u << 20);
	buf_printf(&b, "<event xmlns='http://jabber.org/protocol/pubsub#event'><%s", name);
	print_attr(&b, "node", e->node);
	if (e->kind == PEP_EVENT_ITEM || e->kind == PEP_EVENT_RETRACT) {
		buf_lit(&b, ">");
		if (e->kind == PEP_EVENT_ITEM) {
			print_item(&b, e->item, e->publisher, e->payload);
		} else {
			buf_lit(&b, "<retract");
			print_attr(&b, "id", e->item);
			buf_lit(&b, "/>");
		}
		buf_printf(&b, "</%s>", name);
	} else {
		buf_lit(&b, "/>");
	}
	buf_lit(&b, "</event>");
	struct chunk *c = chunk_of(buf_str(&b));
	buf_clear(&b);
	return c;
}

static void send_event(struct session *s, struct str from, struct chunk *payload, uint64_t delay_ms)
{
	char token[RANDOM_TOKEN];

	random_token(token);
	struct outgoing o = { .kind = STANZA_MESSAGE,
			      .from = from,
			      .type = STR("headline"),
			      .id = str_of(token, 12),
			      .payload = payload,
			      .delay_ms = delay_ms };
	session_send(s, &o);
}

/* ---- one change to everybody ---- */

static void event_arrived(void *data)
{
	struct mail_event *e = data;
	const struct user *last = NULL;
	bool sees = false;

	list_each_safe (s, &home()->sessions, struct session, of_home) {
		if (!s->available || !caps_wants(s, e->node))
			continue;
		if (s->user != last) {
			last = s->user;
			sees = last->id == e->owner ||
			       (e->access != ACCESS_WHITELIST && pep_may_see(last->id, &last->jid, e->owner, &e->bare));
		}
		if (sees)
			send_event(s, e->bare.full, e->payload, 0);
	}
}

static void event_free(void *data)
{
	chunk_unref(((struct mail_event *)data)->payload);
	mem_free(data);
}

void pep_tell(const struct pep_event *e)
{
	struct mail_event *m = mem_zero(sizeof *m + e->bare.n + e->node.n);
	size_t local = (size_t)str_find(e->bare, '@');

	memcpy(m->bytes, e->bare.p, e->bare.n);
	memcpy(m->bytes + e->bare.n, e->node.p, e->node.n);
	m->bare = (struct jid){ str_of(m->bytes, e->bare.n), (uint16_t)local, (uint16_t)(e->bare.n - local - 1) };
	m->node = str_of(m->bytes + e->bare.n, e->node.n);
	m->owner = e->owner;
	m->access = e->access;
	m->payload = print_event(e);
	fanout(event_arrived, m, event_free);
}

/* ---- the last items for one session ---- */

struct subject {
	uint32_t id;
	struct str bare;
};
struct last_items {
	struct session *s;
	struct txn *t;
	struct subject of;
	size_t items, bytes;
};

struct newest {
	struct pep_item item;
	bool found;
};

static bool take_newest(void *ctx, const struct pep_item *item)
{
	*(struct newest *)ctx = (struct newest){ *item, true };
	return false;
}

static bool send_node(void *ctx, const struct pep_node *node)
{
	struct last_items *l = ctx;
	struct newest newest = { .found = false };
	struct pep_config c;

	if (!caps_wants(l->s, node->name))
		return true;
	pep_config_parse(node->config, node->name, &c);
	if (!pep_config_sends_last(&c) || (pep_config_access(&c) == ACCESS_WHITELIST && l->of.id != l->s->user->id))
		return true;
	pep_item_each(l->t, node, true, take_newest, &newest);
	if (!newest.found)
		return true;
	struct pep_event e = { .kind = PEP_EVENT_ITEM,
			       .node = node->name,
			       .item = newest.item.id,
			       .publisher = newest.item.publisher,
			       .payload = pep_config_is(&c, PEP_PAYLOADS) ? newest.item.payload : STR_NONE };
	struct chunk *payload = print_event(&e);
	l->items++;
	l->bytes += payload->n;
	send_event(l->s, l->of.bare, payload, newest.item.published_ms);
	chunk_unref(payload);
	return l->items < LAST_ITEMS_MAX && l->bytes < LAST_BYTES_MAX;
}

struct contacts {
	struct arena *a;
	struct subject *v;
	size_t n, cap;
};

static void add_contact(struct contacts *c, uint32_t id, struct str bare)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 64;
		c->v = mem_realloc(c->v, c->cap * sizeof *c->v);
	}
	c->v[c->n++] = (struct subject){ id, arena_str(c->a, bare) };
}

static bool add_roster_item(void *ctx, const struct roster_item *item)
{
	if (item->to)
		add_contact(ctx, 0, item->jid);
	return true;
}

/* Of the structure and of the own roster; whoever stands in both comes once. */
static void collect_contacts(struct session *s, struct contacts *c)
{
	const struct org *o = org_current();
	const struct org_person *me = org_person(o, s->user->id);
	struct txn *t = im_read();
	size_t n;

	roster_item_each(t, s->user->id, add_roster_item, c);
	txn_commit(t);
	for (size_t i = 0; i < c->n; i++) {
		struct jid j;
		if (jid_parse(c->a, c->v[i].bare, &j) || !j.local_n || !jid_is_bare(&j))
			continue;
		uint32_t id = peer_get(&j)->id;
		if (id && !org_visible(o, s->user->id, id))
			c->v[i].id = id;
	}
	const struct org_person *const *people = org_people(o, &n);
	for (size_t i = 0; me && i < n; i++)
		if (people[i]->account != me->account && org_person_visible(o, me, people[i]))
			add_contact(c, people[i]->account, jid_bare(&people[i]->jid));
}

static bool any_block(const struct session *s, struct str bare)
{
	size_t local = (size_t)str_find(bare, '@');
	struct jid j = { bare, (uint16_t)local, (uint16_t)(bare.n - local - 1) };

	return peer_blocks(peer_get(&j), &s->user->jid) || peer_blocks(peer_get(&s->user->jid), &j);
}

void pep_send_last(struct session *s)
{
	struct last_items l = { .s = s, .of = { s->user->id, s->user->jid.full } };
	struct contacts c = { .a = NULL };

	if (!caps_wants_any(s))
		return;
	c.a = arena_new(16384);
	collect_contacts(s, &c);
	l.t = im_read();
	pep_node_each(l.t, l.of.id, send_node, &l);
	for (size_t i = 0; i < c.n && l.items < LAST_ITEMS_MAX && l.bytes < LAST_BYTES_MAX; i++) {
		l.of = c.v[i];
		if (l.of.id && !any_block(s, l.of.bare))
			pep_node_each(l.t, l.of.id, send_node, &l);
	}
	txn_commit(l.t);
	mem_free(c.v);
	arena_free(c.a);
}
