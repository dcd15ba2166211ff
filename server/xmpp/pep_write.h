/* Changes of PEP nodes, inside of pep.c and pep_write.c. Home thread of the owner. */
#pragma once
#include "server/xmpp/pep.h"

struct pep_row {
	unsigned iq_type;
	enum atom child;
	enum ns ns;
	void (*fn)(struct request *rq, struct node *what);
};
void pep_publish(struct request *rq, struct node *publish);
void pep_retract(struct request *rq, struct node *retract);
void pep_create(struct request *rq, struct node *create);
void pep_configure(struct request *rq, struct node *configure);
void pep_delete(struct request *rq, struct node *delete);
void pep_purge(struct request *rq, struct node *purge);
