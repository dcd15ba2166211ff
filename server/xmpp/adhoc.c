/* Ad-hoc commands (XEP-0050). */
#include "server/xmpp/adhoc.h"

bool adhoc_disco_info(struct request *rq, struct str node)
{
	(void)rq;
	(void)node;
	return false;
}

bool adhoc_disco_items(struct request *rq, struct str node)
{
	(void)rq;
	(void)node;
	return false;
}
