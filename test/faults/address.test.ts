/** Where a link in an upstream's answer may lead (CONTRACT.md "Settings"), and that what is reached is what was checked. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type AddressRefusedError, checkAddress, type Resolve } from "../../src/providers/address.ts";
import { download } from "../../src/providers/download.ts";
import { picture } from "../doubles/picture.ts";
import { cleanup, memoryImage, tlsCertificate } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

afterEach(cleanup.run);

const publicAddress = "203.0.114.7";
const publicIpv6 = "2606:4700:4700::1111";
const resolvesTo =
  (...addresses: string[]): Resolve =>
  async () =>
    addresses;
const neverResolved: Resolve = async (hostname) => expect.unreachable(`${hostname} was resolved`);

async function refusal(link: string, trustedOrigin: string | undefined, resolve: Resolve): Promise<string> {
  const error = await checkAddress(link, trustedOrigin, resolve).then(
    (address) => expect.unreachable(`${link} was let through as ${address.pinnedUrl}`),
    (reason: AddressRefusedError) => reason,
  );
  expect(error.name).toBe("AddressRefusedError");
  return error.message;
}

/** Every way to write an address that only this machine, this network or this cloud can reach. */
const privateHosts = [
  ...["127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "0.0.0.0"],
  ...["0.1.2.3", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1"],
  ...["255.255.255.255", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1"],
  ...[
    "①②⑦.0.0.1",
    "127。0。0。1",
    "10.0.0.1.",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a00:1]",
    "[::127.0.0.1]",
  ],
  ...["[::ffff:0:10.0.0.1]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::10.0.0.1]", "[2002:7f00:1::1]", "[2002:a00:1::]"],
  ...["[2001::1]", "[fc00::1]", "[fdab::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[100::1]", "[3fff::1]"],
];
/** Link-local and metadata: refused always. */
const neverHosts = [
  ...[
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "0xa9fea9fe",
    "2852039166",
    "0251.0376.0251.0376",
    "169.254.43518",
  ],
  ...["[::ffff:169.254.169.254]", "[::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[fe80::1]"],
  ...["[::ffff:0:169.254.169.254]", "[febf::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "192.0.0.192"],
  "168.63.129.16",
];
const publicHosts = [
  publicAddress,
  "8.8.8.8",
  "1.1.1.1",
  "172.32.0.1",
  "192.169.0.1",
  "100.128.0.1",
  `[${publicIpv6}]`,
];

describe("hosts that are addresses", () => {
  test.each([...privateHosts, ...neverHosts])("%s is refused", async (host) => {
    await refusal(`https://${host}/a.png`, undefined, neverResolved);
    await refusal(`https://${host}:8443/a.png`, "https://api.example", neverResolved);
  });

  test.each(publicHosts)("%s is followed", async (host) => {
    const checked = await checkAddress(`https://${host}/a%20b.png?sig=a%2Fb`, undefined, neverResolved);
    expect(checked).toEqual({ pinnedUrl: `https://${host}/a%20b.png?sig=a%2Fb`, host, serverName: undefined });
  });

  test.each(privateHosts)("%s is followed as the operator's own origin, and as no other origin", async (host) => {
    const { origin } = new URL(`http://${host}:4000`);
    const { pinnedUrl } = await checkAddress(`http://${host}:4000/a.png`, origin, neverResolved);
    expect(new URL(pinnedUrl).host).toBe(new URL(origin).host.replace(/\.:/, ":"));
    await refusal(`http://${host}:4001/a.png`, origin, neverResolved);
    await refusal(`https://${host}:4000/a.png`, origin, neverResolved);
    await refusal(`http://${host}/a.png`, origin, neverResolved);
  });

  test.each(neverHosts)("%s is refused even as the operator's own origin", async (host) => {
    for (const scheme of ["http", "https"]) {
      await refusal(`${scheme}://${host}/a.png`, new URL(`${scheme}://${host}`).origin, neverResolved);
    }
  });
});

describe("hosts that are names", () => {
  test("go to the address that was resolved, with the name in Host and TLS", async () => {
    const checked = await checkAddress("https://cdn.example:8443/x?y#z", undefined, resolvesTo(publicAddress));
    expect(checked).toEqual({
      pinnedUrl: `https://${publicAddress}:8443/x?y#z`,
      host: "cdn.example:8443",
      serverName: "cdn.example",
    });
    const six = await checkAddress("https://cdn.example/x", undefined, resolvesTo(publicIpv6, publicAddress));
    expect(six).toEqual({ pinnedUrl: `https://[${publicIpv6}]/x`, host: "cdn.example", serverName: "cdn.example" });
  });

  test.each(["localhost", "LOCALHOST.", "intranet", "evil.example", "127.0.0.1.nip.io", "xn--bcher-kva.example"])(
    "%s is refused when any of its addresses is private",
    async (host) => {
      const resolutions = [["127.0.0.1"], ["::1"], [publicAddress, "10.0.0.1"], [publicIpv6, "::ffff:10.0.0.1"]];
      for (const addresses of [...resolutions, ["fe80::1%eth0"], [publicAddress, "169.254.169.254"]]) {
        await refusal(`https://${host}/a.png`, undefined, resolvesTo(...addresses));
      }
    },
  );

  test("the operator's own origin may resolve privately, never to link-local or metadata", async () => {
    const origin = "http://images.internal:9000";
    const checked = await checkAddress(`${origin}/a.png`, origin, resolvesTo("10.1.2.3"));
    expect(checked).toEqual({
      pinnedUrl: "http://10.1.2.3:9000/a.png",
      host: "images.internal:9000",
      serverName: undefined,
    });
    for (const address of ["169.254.169.254", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]) {
      await refusal(`${origin}/a.png`, origin, resolvesTo("10.1.2.3", address));
    }
  });

  test("a name without an address, or with something else, is refused; a failed resolution comes out", async () => {
    await refusal("https://cdn.example/", undefined, resolvesTo());
    await refusal("https://cdn.example/", undefined, resolvesTo("cdn.example"));
    const failing: Resolve = () => Promise.reject(new Error("no such name"));
    await expect(checkAddress("https://cdn.example/", undefined, failing)).rejects.toThrow("no such name");
  });
});

describe("the rest of a link", () => {
  test.each([
    ...["https://user@cdn.example/", "https://user:password@cdn.example/", "https://:password@cdn.example/"],
    ...["http://cdn.example/", "ftp://cdn.example/", "file:///etc/passwd", "data:image/png;base64,QUJD", "gopher://c/"],
    ...["ws://cdn.example/", "unix:/run/docker.sock", "javascript:1", "/a.png", "//cdn.example/a.png", "", "https://"],
    ...["blob:https://cdn.example/1", "https://[::1", "https://999.1.1.1/"],
  ])("%j is refused", async (link) => {
    const message = await refusal(link, "https://api.example", resolvesTo(publicAddress));
    // The message goes to the client: a signed link must not.
    if (link.length > 12) expect(message).not.toContain(link);
  });

  test("credentials in a link to the operator's own origin are refused too", async () => {
    await refusal("http://user@10.0.0.1:80/", "http://10.0.0.1", neverResolved);
  });
});

interface Sent {
  url: string;
  init: RequestInit & { tls?: object };
}

describe("downloads", () => {
  const bytes = picture({ width: 8, height: 8 });

  /** `answers` by URL path; everything that goes out is recorded. */
  function downloading(link: string, answers: Record<string, () => Response>, resolve: Resolve, trusted?: string) {
    const sent: Sent[] = [];
    const send = async (url: string, init: RequestInit) => {
      sent.push({ url, init });
      return answers[new URL(url).pathname]?.() ?? new Response("", { status: 404 });
    };
    const sleep = () => Promise.resolve();
    const outcome = download(link, {
      fetch: send as typeof fetch,
      resolve,
      clock: { now: Date.now, sleep },
      newImage: memoryImage,
      trustedOrigin: trusted,
      signal: new AbortController().signal,
    });
    return { outcome, sent };
  }
  const redirect =
    (location: string, status = 302) =>
    () =>
      new Response(null, { status, headers: { location } });

  test("the address is resolved once a request and pinned: a name that changes its mind reaches nothing new", async () => {
    const answers = [[publicAddress], ["127.0.0.1"]];
    const resolve: Resolve = async () => answers.shift() ?? ["127.0.0.1"];
    const { outcome, sent } = downloading("https://rebind.example/a", { "/a": () => new Response(bytes) }, resolve);
    expect(await outcome).toMatchObject({ width: 8 });
    expect(sent.map(({ url }) => url)).toEqual([`https://${publicAddress}/a`]);
    expect(answers).toEqual([["127.0.0.1"]]);
    expect(sent[0]?.init).toMatchObject({ redirect: "manual", tls: { serverName: "rebind.example" } });
    expect([...new Headers(sent[0]?.init.headers).keys()].sort()).toEqual(["accept", "host"]);
  });

  test("a name that turns private before the second try, or behind a redirect to itself, is refused then", async () => {
    for (const first of [() => new Response("", { status: 500 }), redirect("/a")]) {
      const answers = [[publicAddress], ["169.254.169.254"]];
      const resolve: Resolve = async () => answers.shift() ?? [];
      const { outcome, sent } = downloading("https://rebind.example/a", { "/a": first }, resolve);
      expect(await outcome).toMatchObject({ class: "contract_changed" });
      expect(sent).toHaveLength(1);
    }
  });

  test.each([301, 302, 303, 307, 308])("each hop of a %d is checked and pinned anew", async (status) => {
    const resolve: Resolve = async (name) => (name === "a.example" ? [publicAddress] : [publicIpv6]);
    const answers = {
      "/1": redirect("https://b.example/2", status),
      "/2": redirect("3", status),
      "/3": () => new Response(bytes),
    };
    const { outcome, sent } = downloading("https://a.example/1", answers, resolve);
    expect(await outcome).toMatchObject({ width: 8 });
    const urls = [`https://${publicAddress}/1`, `https://[${publicIpv6}]/2`, `https://[${publicIpv6}]/3`];
    expect(sent.map(({ url }) => url)).toEqual(urls);
    expect(sent.map(({ init }) => new Headers(init.headers).get("host"))).toEqual([
      "a.example",
      "b.example",
      "b.example",
    ]);
  });

  const targets = [
    ...["http://127.0.0.1/", "https://127.0.0.1/", "https://169.254.169.254/latest/meta-data", "http://cdn.example/"],
    ...["https://inside.example/", "https://user@cdn.example/", "file:///etc/passwd", "https://[::1]/", "https://"],
  ];
  test.each(targets)("a redirect to %s is refused and never followed", async (target) => {
    const resolve: Resolve = async (name) => (name === "inside.example" ? ["10.0.0.1"] : [publicAddress]);
    const { outcome, sent } = downloading("https://cdn.example/a", { "/a": redirect(target) }, resolve);
    expect(await outcome).toMatchObject({ class: "contract_changed" });
    expect(sent).toHaveLength(1);
  });

  test("redirects without end are refused", async () => {
    const { outcome, sent } = downloading("https://cdn.example/a", { "/a": redirect("/a") }, resolvesTo(publicAddress));
    expect(await outcome).toMatchObject({ class: "contract_changed" });
    expect(sent.length).toBeWithin(2, 12);
  });

  test("over real TLS the certificate must be the name's, though the address is what is connected to", async () => {
    let arrived = 0;
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      tls: tlsCertificate,
      fetch(request): Response {
        arrived += 1;
        return new Response(request.headers.get("host")?.startsWith("files.test:") ? bytes : "?");
      },
    });
    cleanup.add(() => server.stop(true));
    const trusting = ((url: string, init: RequestInit & { tls?: object }) =>
      fetch(url, { ...init, tls: { ...init.tls, ca: tlsCertificate.cert } })) as typeof fetch;
    const get = (origin: string, lifeMs: number) =>
      download(`${origin}/a.png`, {
        fetch: trusting,
        resolve: resolvesTo("127.0.0.1"),
        clock: { now: Date.now, sleep: () => Bun.sleep(20) },
        newImage: memoryImage,
        trustedOrigin: origin,
        signal: AbortSignal.timeout(lifeMs),
      });
    expect(await get(`https://files.test:${server.port}`, 30_000)).toMatchObject({ width: 8 });
    expect(arrived).toBe(1);
    expect(await get(`https://other.test:${server.port}`, 500)).toMatchObject({ class: "timeout" });
    expect(arrived).toBe(1);
  });
});
