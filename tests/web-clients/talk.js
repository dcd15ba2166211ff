// strophe.js over BOSH and WebSocket, @xmpp/client over WebSocket: each logs in, says something to itself and hears it. usage: talk.js KIND PORT DOMAIN USER PASSWORD
import WebSocket from "ws";
import xhr from "xmlhttprequest-ssl";

const [kind, port, domain, user, password] = process.argv.slice(2);
const late = setTimeout(() => fail("nothing more came in 30 s"), 30000);

// What a browser's XMLHttpRequest has and the package lacks: the answer as a document.
function BrowserRequest() {
	const request = new (xhr.XMLHttpRequest ?? xhr)();
	const parsed = () => (request.responseText ? new DOMParser().parseFromString(request.responseText, "text/xml") : null);
	Object.defineProperty(request, "responseXML", { get: parsed, set() {} });
	return request;
}

function fail(text) {
	console.error(text);
	process.exit(1);
}
function done() {
	clearTimeout(late);
	console.log("heard itself");
	process.exit(0);
}

async function strophe(url) {
	globalThis.XMLHttpRequest = BrowserRequest; // node has none; WebSocket and DOM come with strophe.js
	const { Strophe, $msg, $pres } = await import("strophe.js");
	const c = new Strophe.Connection(url);
	c.addHandler((m) => {
		if (m.getElementsByTagName("body").length === 0) return true;
		c.disconnect("done");
		return false;
	}, null, "message", null, null, null);
	let heard = false;
	c.connect(`${user}@${domain}`, password, (status, why) => {
		if (status === Strophe.Status.CONNECTED) {
			c.send($pres());
			c.send($msg({ to: `${user}@${domain}`, type: "chat", id: "m1" }).c("body").t("hello <&> from strophe"));
			heard = true;
		} else if (status === Strophe.Status.DISCONNECTED) {
			if (heard) done();
			else fail(`disconnected: ${why}`);
		} else if (status === Strophe.Status.AUTHFAIL || status === Strophe.Status.CONNFAIL) fail(`status ${status}: ${why}`);
	});
}

async function xmpp(url) {
	globalThis.WebSocket ??= WebSocket;
	const { client, xml } = await import("@xmpp/client");
	const c = client({ service: url, domain, username: user, password, resource: "js" });
	c.on("error", (e) => fail(String(e)));
	c.on("stanza", async (s) => {
		if (!s.is("message") || s.getChildText("body") !== "hello from xmpp.js") return;
		await c.stop();
		done();
	});
	c.on("online", async (me) => {
		await c.send(xml("presence"));
		await c.send(xml("message", { to: me.bare().toString(), type: "chat", id: "m1" }, xml("body", {}, "hello from xmpp.js")));
	});
	await c.start();
}

if (kind === "strophe-bosh") strophe(`http://127.0.0.1:${port}/bosh`);
else if (kind === "strophe-ws") strophe(`ws://127.0.0.1:${port}/ws`);
else xmpp(`ws://127.0.0.1:${port}/ws`);
