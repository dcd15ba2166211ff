/* Personal eventing (XEP-0163). */
#include "server/xmpp/pep.h"

bool pep_disco_info(struct request *rq, struct str node)
{
	(void)rq;
	(void)node;
	return false;
}

void pep_disco_items(struct request *rq, struct node *query)
{
	(void)rq;
	(void)query;
}

void pep_session_interested(struct session *s)
{
	(void)s;
}
