// A browser's library that prints what it is told, one JSON line per message: strophe.js over BOSH or WebSocket, @xmpp/client over WebSocket. Lines on its input are
// addresses of rooms to join (room/nick). usage: watch.js KIND PORT DOMAIN USER PASSWORD
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.WEB_CLIENTS}/package.json`); // the packages of tests/web-clients
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const [kind, port, domain, user, password] = process.argv.slice(2);
const say = (o) => process.stdout.write(`${JSON.stringify(o)}\n`);
console.log = console.info = console.debug = () => {}; // strophe.js tells its steps

function fail(text) {
	console.error(text);
	process.exit(1);
}
function rooms(join) {
	createInterface({ input: process.stdin }).on("line", join).on("close", () => process.exit(0));
	say({ ready: true });
}

async function strophe(url) {
	const xhr = (await load("xmlhttprequest-ssl")).default;
	// What a browser's XMLHttpRequest has and the package lacks: the answer as a document.
	globalThis.XMLHttpRequest = function BrowserRequest() {
		const request = new (xhr.XMLHttpRequest ?? xhr)();
		const parsed = () => (request.responseText ? new DOMParser().parseFromString(request.responseText, "text/xml") : null);
		Object.defineProperty(request, "responseXML", { get: parsed, set() {} });
		return request;
	};
	const { Strophe, $pres } = await load("strophe.js");
	const c = new Strophe.Connection(url);
	const text = (s, name) => s.getElementsByTagName(name)[0]?.textContent;
	c.addHandler((m) => {
		say({ from: m.getAttribute("from"), type: m.getAttribute("type"), body: text(m, "body") });
		return true;
	}, null, "message", null, null, null);
	c.addHandler((p) => {
		say({ presence: p.getAttribute("from"), self: [...p.getElementsByTagName("status")].some((s) => s.getAttribute("code") === "110") });
		return true;
	}, null, "presence", null, null, null);
	c.connect(`${user}@${domain}/${kind}`, password, (status, why) => {
		if (status === Strophe.Status.CONNECTED) {
			c.send($pres());
			rooms((to) => c.send($pres({ to }).c("x", { xmlns: "http://jabber.org/protocol/muc" }).c("history", { maxstanzas: "0" })));
		} else if ([Strophe.Status.AUTHFAIL, Strophe.Status.CONNFAIL, Strophe.Status.DISCONNECTED].includes(status)) fail(`status ${status}: ${why}`);
	});
}

async function xmpp(url) {
	globalThis.WebSocket ??= (await load("ws")).default;
	const { client, xml } = await load("@xmpp/client");
	const c = client({ service: url, domain, username: user, password, resource: kind });
	c.on("error", (e) => fail(String(e)));
	c.on("stanza", (s) => {
		if (s.is("message")) say({ from: s.attrs.from, type: s.attrs.type, body: s.getChildText("body") });
		else if (s.is("presence")) say({ presence: s.attrs.from, self: (s.getChild("x")?.getChildren("status") ?? []).some((x) => x.attrs.code === "110") });
	});
	c.on("online", async () => {
		await c.send(xml("presence"));
		rooms((to) => c.send(xml("presence", { to }, xml("x", { xmlns: "http://jabber.org/protocol/muc" }, xml("history", { maxstanzas: "0" })))));
	});
	await c.start();
}

if (kind === "strophe-bosh") strophe(`http://127.0.0.1:${port}/bosh`);
else if (kind === "strophe-ws") strophe(`ws://127.0.0.1:${port}/ws`);
else xmpp(`ws://127.0.0.1:${port}/ws`);
