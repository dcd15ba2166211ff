/*
 * Avatars (XEP-0084, 0153, 0398). The picture lives in PEP only: data node (Base64), metadata node (what it is). A
 * vCard's PHOTO is made of them when it is read, and put into them when it is set; the hash in the owner's presence
 * is written by the server, so it is always true. The server never decodes a picture, it reads the size out of the
 * header (row W09). Home thread of the owner unless said; apply on the writer thread.
 */
#include "server/xmpp/avatar.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/picture.h"
#include "server/im/im.h"
#include "server/im/presence.h"
#include "server/xmpp/session_xmpp.h"
#include "xml/parser.h"
#include "xml/print.h"
#include <string.h>

#define DATA_NODE STR("urn:xmpp:avatar:data")
#define META_NODE STR("urn:xmpp:avatar:metadata")
enum { PICTURE_BYTES_MAX = 262144, PICTURE_SIDE_MAX = 4096, ID_LEN = 40 };

static const struct parser_limits wide = { 16777216, 16777216, 512, 100000, 1000, 100 };

/* What a user's sessions say in their presence; user->pep. */
struct shown {
	bool loaded;
	char photo[ID_LEN + 1]; /* empty: no picture */
};

/* ---- pictures ---- */

/* Base64 with line breaks, as clients write it. */
static int decode(struct arena *a, struct str text, struct str *out_base64, struct str *out_bytes)
{
	char *clean = arena_alloc(a, text.n + 1), *bytes = arena_alloc(a, text.n + 1);
	size_t n = 0;
	ptrdiff_t got;
	uint32_t w, h;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != ' ' && text.p[i] != '\n' && text.p[i] != '\r' && text.p[i] != '\t')
			clean[n++] = text.p[i];
	got = n ? base64_decode(str_of(clean, n), bytes, text.n + 1) : ERR_SYNTAX;
	if (got <= 0)
		return ERR_SYNTAX;
	*out_base64 = str_of(clean, n);
	*out_bytes = str_of(bytes, (size_t)got);
	if (got > PICTURE_BYTES_MAX)
		return ERR_LIMIT;
	if (picture_size(*out_bytes, &w, &h) && (w > PICTURE_SIDE_MAX || h > PICTURE_SIDE_MAX))
		return ERR_LIMIT;
	return 0;
}

int avatar_check_data(struct arena *a, const struct node *data)
{
	struct str base64, bytes;

	return decode(a, node_text(a, data), &base64, &bytes);
}

/* ---- reading what is stored ---- */

static bool take_newest(void *ctx, const struct pep_item *item)
{
	*(struct str *)ctx = item->payload;
	return false;
}

/* <info/> of the picture itself (not of a copy behind a URL); NULL: no picture. */
static struct node *current_info(struct txn *t, struct arena *a, uint32_t account)
{
	struct pep_node node;
	struct str payload = STR_NONE;
	struct node *root;

	if (pep_node_get(t, account, META_NODE, &node))
		return NULL;
	pep_item_each(t, &node, true, take_newest, &payload);
	if (!payload.n || parse_document(a, payload, &wide, &root))
		return NULL;
	for (struct node *i = node_child(root, A_info, NS_AVATAR_META); i; i = node_next_same(i))
		if (!node_attr(i, "url").p && node_attr(i, "id").n == ID_LEN)
			return i;
	return NULL;
}

void avatar_into_vcard(struct txn *t, struct arena *a, uint32_t account, struct node *card)
{
	struct node *info = current_info(t, a, account), *root, *photo;
	struct pep_node node;
	struct pep_item item;

	if (!info || pep_node_get(t, account, DATA_NODE, &node) || pep_item_get(t, &node, node_attr(info, "id"), &item))
		return;
	if (parse_document(a, item.payload, &wide, &root))
		return;
	for (struct node *old = node_child(card, A_PHOTO, NS_VCARD); old; old = node_child(card, A_PHOTO, NS_VCARD))
		node_remove(old);
	photo = node_add(a, card, A_PHOTO, NS_VCARD);
	node_add_text(a, photo, A_TYPE, NS_VCARD,
		      node_attr(info, "type").n ? node_attr(info, "type") : STR("image/png"));
	node_add_text(a, photo, A_BINVAL, NS_VCARD, node_text(a, root));
}

/* ---- presence ---- */

static void read_photo(struct user *u, struct shown *x)
{
	struct arena *a = arena_new(4096);
	struct txn *t = im_read();
	struct node *info = current_info(t, a, u->id);

	x->photo[0] = 0;
	if (info) {
		memcpy(x->photo, node_attr(info, "id").p, ID_LEN);
		x->photo[ID_LEN] = 0;
	}
	x->loaded = true;
	txn_commit(t);
	arena_free(a);
}

static struct shown *shown_of(struct user *u)
{
	if (!u->pep)
		u->pep = NEW(struct shown);
	struct shown *x = u->pep;
	if (!x->loaded)
		read_photo(u, x);
	return x;
}

static void put_photo(struct arena *a, struct node *presence, const char *photo)
{
	struct node *old = node_child(presence, A_x, NS_VCARD_UPDATE);

	if (!old && !photo[0])
		return; /* a client that knows nothing of pictures, a person without one */
	for (; old; old = node_child(presence, A_x, NS_VCARD_UPDATE))
		node_remove(old);
	node_add_text(a, node_add(a, presence, A_x, NS_VCARD_UPDATE), A_photo, NS_VCARD_UPDATE, str_c(photo));
}

void avatar_into_presence(struct request *rq)
{
	put_photo(rq->a, rq->stanza, shown_of(rq->session->user)->photo);
}

/* The last presence of a session with the new hash, as if the client had sent it (XEP-0398 section 4). */
static void repeat_presence(struct session *s, const char *photo)
{
	struct arena *a = arena_new(4096);
	struct str payload = chunk_str(s->presence);
	struct node *root;

	if (!parse_document(a,
			    arena_cat(a, STR("<presence xmlns='jabber:client'>"), payload.p ? payload : STR(""),
				      STR("</presence>"), STR_NONE),
			    &wide, &root)) {
		put_photo(a, root, photo);
		struct chunk *c = payload_of_children(root);
		presence_set(s, c, s->priority);
		chunk_unref(c);
		sm_state_changed((struct xsession *)s);
	}
	arena_free(a);
}

void avatar_changed(struct str bare)
{
	struct user *u = user_find(bare);
	char before[ID_LEN + 1];

	if (!u)
		return;
	struct shown *x = shown_of(u);
	memcpy(before, x->photo, sizeof before);
	read_photo(u, x);
	if (strcmp(before, x->photo) == 0)
		return;
	list_each_safe (s, &u->sessions, struct session, of_user)
		if (s->available)
			repeat_presence(s, x->photo);
}

static void on_user_unload(struct user *u)
{
	mem_free(u->pep);
	u->pep = NULL;
}

void avatar_init(void)
{
	static const struct session_hooks hooks = { .user_unload = on_user_unload };

	session_add_hooks(&hooks);
}

/* ---- from a vCard ---- */

static struct str print_element(struct arena *a, const struct node *n)
{
	struct buf b;

	buf_init(&b, 64u << 20);
	print_node(&b, n, STR(""));
	struct str s = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return s;
}

static const char *sniffed_type(struct str bytes)
{
	if (str_starts(bytes, STR("\x89PNG")))
		return "image/png";
	if (str_starts(bytes, STR("GIF8")))
		return "image/gif";
	return "image/jpeg";
}

static void make_items(struct arena *a, struct str base64, struct str bytes, struct str type, struct avatar_change *out)
{
	struct node *data = node_new(a, A_data, NS_AVATAR_DATA), *meta = node_new(a, A_metadata, NS_AVATAR_META);
	struct node *info = node_add(a, meta, A_info, NS_AVATAR_META);
	uint8_t d[HASH_MAX];
	uint32_t w, h;

	digest(HASH_SHA1, bytes, d);
	hex_encode(d, 20, out->id);
	out->id[ID_LEN] = 0;
	node_append_text(a, data, base64);
	node_set(a, info, "id", arena_str(a, str_c(out->id)));
	node_set(a, info, "type", type.n ? type : str_c(sniffed_type(bytes)));
	node_set_u64(a, info, "bytes", bytes.n);
	if (picture_size(bytes, &w, &h)) {
		node_set_u64(a, info, "width", w);
		node_set_u64(a, info, "height", h);
	}
	out->data = print_element(a, data);
	out->metadata = print_element(a, meta);
}

int avatar_from_vcard(struct arena *a, struct node *card, struct avatar_change *out)
{
	struct node *photo = node_child(card, A_PHOTO, NS_VCARD),
		    *value = photo ? node_child(photo, A_BINVAL, NS_VCARD) : NULL;
	struct str base64, bytes;
	int err;

	*out = (struct avatar_change){ .any = true };
	if (photo && !value && node_first(photo)) { /* EXTVAL: a link stays what it is */
		out->any = false;
		return 0;
	}
	if (!value || !str_trim(node_text(a, value)).n) {
		out->removed = true;
		out->metadata =
			STR("<metadata xmlns='urn:xmpp:avatar:metadata'/>"); /* XEP-0084 4.2.2: no picture any more */
		if (photo)
			node_remove(photo);
		return 0;
	}
	err = decode(a, node_text(a, value), &base64, &bytes);
	if (err)
		return err;
	make_items(a, base64, bytes, str_trim(node_child_text(a, photo, A_TYPE, NS_VCARD)), out);
	node_remove(photo);
	return 0;
}

int avatar_apply(struct txn *t, uint32_t account, struct str publisher, struct avatar_change *c)
{
	struct arena *a = arena_new(4096);
	struct node *info = current_info(t, a, account);
	bool same = c->removed ? !info : info && str_eq_c(node_attr(info, "id"), c->id);
	struct pep_item item = {
		.id = str_c(c->id), .publisher = publisher, .published_ms = clock_wall_ms(), .payload = c->data
	};
	struct pep_config config;
	struct pep_node node;
	int err = 0;

	arena_free(a);
	c->done = false;
	if (!c->any || same)
		return 0;
	pep_config_default(STR_NONE, &config);
	if (!c->removed)
		err = pep_put_item(t, account, DATA_NODE, &item, &config, &node);
	item.payload = c->metadata;
	if (c->removed)
		item.id = STR("none");
	if (!err)
		err = pep_put_item(t, account, META_NODE, &item, &config, &node);
	c->done = !err;
	return err;
}

void avatar_tell(uint32_t account, struct str bare, struct str publisher, const struct avatar_change *c)
{
	struct pep_event e = { PEP_EVENT_ITEM, ACCESS_PRESENCE, account,   bare,
			       DATA_NODE,      str_c(c->id),	publisher, c->data };

	if (!c->done)
		return;
	if (!c->removed)
		pep_tell(&e);
	e.node = META_NODE;
	e.item = c->removed ? STR("none") : str_c(c->id);
	e.payload = c->metadata;
	pep_tell(&e);
	avatar_changed(bare);
}
