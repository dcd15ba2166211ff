/*
 * Our own serialiser: the only way bytes leave (row X12). Writes default-namespace declarations where the namespace
 * changes, own prefixes (ns1, ...) for prefixed attributes other than xml:, escapes < > & " ' in attributes and < > &
 * in text, and tab, newline, CR in attributes and CR in text as character references. Stream-level elements get the
 * prefix "stream:".
 */
#pragma once
#include "base/buf.h"
#include "xml/node.h"

/* Prints an element whose parent's default namespace is outer ("" = not known: always declare). NS_STREAMS elements
 * given here print as stream:NAME, without declaration when outer is jabber:client, with xmlns:stream when outer is
 * "" (RFC 7395 frames); deeper ones never use that prefix, so a stanza's payload can be put anywhere. */
void print_node(struct buf *b, const struct node *n, struct str outer);
/* Prints the children only, inside an element of n's own namespace: the payload of a stanza. */
void print_children(struct buf *b, const struct node *n);
/* Escaped text / attribute value. */
void print_text(struct buf *b, struct str s);
void print_attr_value(struct buf *b, struct str s);
/* ` name='value'`, nothing when value.p == NULL. */
void print_attr(struct buf *b, const char *name, struct str value);
