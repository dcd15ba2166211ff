/*
 * From the stream header to the bound session, one step per answer of the server (RFC 6120: 4.3 features, 5 STARTTLS, 6 SASL,
 * 7 bind; XEP-0198 <enable/> with --sm). No pipelining, so every server sees the same number of round trips.
 */
#include "bench/load.h"
#include <stdio.h>
#include <string.h>

void login_header(struct client *c)
{
	scan_reset(&c->scan);
	client_printf(c,
		      "<?xml version='1.0'?><stream:stream to='%s' version='1.0' xml:lang='en' xmlns='jabber:client' "
		      "xmlns:stream='http://etherx.jabber.org/streams'>",
		      bench.opt.domain);
}

static void ready(struct client *c)
{
	c->state = CLIENT_READY;
	c->sm_in = c->sm_out = c->sm_acked = 0;
	bench.n_ready++;
	if (bench.on.ready)
		bench.on.ready(c);
}

static void authenticate(struct client *c)
{
	char text[768];
	size_t n = sasl_start(c, text, sizeof text);
	if (!n) {
		client_fail(c, "SASL", "name or password too long", 25);
		return;
	}
	client_printf(c, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='%s'>%.*s</auth>",
		      bench.opt.mechanism, (int)n, text);
	c->state = CLIENT_AUTH;
}

static void features(struct client *c, const char *p, size_t n)
{
	if (c->authenticated) {
		client_printf(c, "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
				 "<resource>load</resource></bind></iq>");
		c->state = CLIENT_BIND;
	} else if (bench.opt.tls && !c->ssl) {
		client_printf(c, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
		c->state = CLIENT_STARTTLS;
	} else {
		char mechanism[48];
		snprintf(mechanism, sizeof mechanism, ">%s<", bench.opt.mechanism);
		if (stanza_has(p, n, mechanism))
			authenticate(c);
		else
			client_fail(c, "mechanism not offered", p, n);
	}
}

static void starttls(struct client *c)
{
	c->ssl = SSL_new(bench.tls);
	SSL_set_fd(c->ssl, c->fd);
	SSL_set_tlsext_host_name(c->ssl, bench.opt.domain);
	c->state = CLIENT_HANDSHAKE; /* client.c goes on when the bytes at hand are scanned */
}

static void auth_answer(struct client *c, const char *p, size_t n)
{
	char text[768];
	size_t k = 0;
	const char *data = stanza_between(p, n, ">", "<", &k);
	if (stanza_is(p, n, "challenge") && data) {
		size_t m = sasl_challenge(c, data, k, text, sizeof text);
		if (m)
			client_printf(c, "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%.*s</response>", (int)m,
				      text);
		else
			client_fail(c, "unusable challenge", p, n);
	} else if (stanza_is(p, n, "success")) {
		if (!sasl_success(c, data ? data : "", data ? k : 0)) {
			client_fail(c, "wrong server signature", p, n);
			return;
		}
		c->authenticated = true;
		c->state = CLIENT_FEATURES;
		login_header(c);
	} else {
		client_fail(c, "login refused", p, n);
	}
}

static void bound(struct client *c, const char *p, size_t n)
{
	if (!stanza_has(p, n, "<jid>"))
		return; /* something else that the server sent first */
	if (!bench.opt.sm) {
		ready(c);
		return;
	}
	client_printf(c, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
	c->state = CLIENT_SM;
}

void login_stanza(struct client *c, const char *p, size_t n)
{
	switch (c->state) {
	case CLIENT_FEATURES:
		if (stanza_is(p, n, "stream:features"))
			features(c, p, n);
		break;
	case CLIENT_STARTTLS:
		if (stanza_is(p, n, "proceed"))
			starttls(c);
		else
			client_fail(c, "STARTTLS refused", p, n);
		break;
	case CLIENT_AUTH: auth_answer(c, p, n); break;
	case CLIENT_BIND:
		if (stanza_is(p, n, "iq"))
			bound(c, p, n);
		break;
	case CLIENT_SM:
		c->sm = stanza_is(p, n, "enabled");
		if (c->sm)
			ready(c);
		else if (stanza_is(p, n, "failed"))
			client_fail(c, "stream management refused", p, n);
		break;
	default: break;
	}
}
