/* Presence payloads of chats, printed once for everybody. The hats are the person's position and the department he heads. Any worker. */
#include "server/xmpp/muc_print.h"
#include "base/crypto.h"
#include "server/im/org.h"
#include "xml/print.h"

static void print_item(struct buf *b, const struct muc_words *w)
{
	buf_lit(b, "<item affiliation='");
	buf_str_add(b, str_c(w->affiliation));
	buf_lit(b, "' role='");
	buf_str_add(b, str_c(w->role));
	buf_byte(b, '\'');
	print_attr(b, "jid", w->jid);
	buf_byte(b, '>');
	if (w->actor.n) {
		buf_lit(b, "<actor");
		print_attr(b, "nick", w->actor);
		buf_lit(b, "/>");
	}
	if (w->reason.n) {
		buf_lit(b, "<reason>");
		print_text(b, w->reason);
		buf_lit(b, "</reason>");
	}
	buf_lit(b, "</item>");
}

static void print_muc_user(struct buf *b, const struct muc_words *w)
{
	buf_lit(b, "<x xmlns='http://jabber.org/protocol/muc#user'>");
	print_item(b, w);
	if (w->destroyed) {
		buf_lit(b, "<destroy>");
		if (w->reason.n) {
			buf_lit(b, "<reason>");
			print_text(b, w->reason);
			buf_lit(b, "</reason>");
		}
		buf_lit(b, "</destroy>");
	}
	for (size_t i = 0; i < w->n_status; i++)
		buf_printf(b, "<status code='%u'/>", w->status[i]);
	buf_lit(b, "</x>");
}

/* The URI names the hat, so that equal titles are equal hats. */
static void print_hat(struct buf *b, const char *kind, struct str title)
{
	uint8_t d[HASH_MAX];
	char hex[17] = { 0 };

	digest(HASH_SHA256, title, d);
	hex_encode(d, 8, hex);
	buf_printf(b, "<hat uri='urn:vestnik:hat:%s:%s'", kind, hex);
	print_attr(b, "title", title);
	buf_lit(b, "/>");
}

static void print_hats(struct buf *b, uint32_t account)
{
	const struct org_person *p = org_person(org_current(), account);

	if (!p || (!p->position.n && !(p->head && p->dept)))
		return;
	buf_lit(b, "<hats xmlns='urn:xmpp:hats:0'>");
	if (p->position.n)
		print_hat(b, "position", p->position);
	if (p->head && p->dept)
		print_hat(b, "head", p->dept->name);
	buf_lit(b, "</hats>");
}

struct chunk *muc_print_presence(const struct muc_words *w)
{
	struct buf b;
	char id[OCCUPANT_ID_LEN];

	buf_init(&b, 64u << 20);
	buf_str_add(&b, w->client);
	print_muc_user(&b, w);
	chat_occupant_id(w->number, w->account, id);
	buf_printf(&b, "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='%.*s'/>", OCCUPANT_ID_LEN, id);
	print_hats(&b, w->account);
	struct chunk *c = chunk_of(buf_str(&b));
	buf_clear(&b);
	return c;
}

static const struct {
	enum atom name; /* A_NONE: any */
	enum ns ns;
} not_passed[] = {
	{ A_NONE, NS_MUC },   { A_NONE, NS_MUC_USER }, { A_NONE, NS_OCCUPANT_ID }, { A_NONE, NS_HATS },
	{ A_NONE, NS_DELAY }, { A_NONE, NS_SID },      { A_NONE, NS_MAM2 },	   { A_priority, NS_CLIENT },
};

struct chunk *muc_client_presence(struct node *stanza)
{
	for (struct node *n = node_first(stanza), *next; n; n = next) {
		next = node_next(n);
		for (size_t i = 0; i < sizeof not_passed / sizeof *not_passed; i++)
			if (n->ns == not_passed[i].ns &&
			    (not_passed[i].name == A_NONE || not_passed[i].name == n->name)) {
				node_remove(n);
				break;
			}
	}
	return payload_of_children(stanza);
}
