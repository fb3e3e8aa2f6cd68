// The public page's sentences, in Chinese and in English.

import type { Language } from "../look/language.ts";

export interface OpenWords {
  readonly title: string;
  readonly line: string;
  readonly loading: string;
  readonly away: string;
  readonly otherRoot: string;
  readonly untrusted: string;
  readonly now: { readonly head: string; readonly release: string; readonly at: string; readonly persons: string; readonly log: string; readonly root: string };
  readonly counts: Record<"head" | "source" | "state" | "people" | "share" | "unknown" | "withdrawn" | "take", string>;
  readonly at: (when: string) => string;
  readonly turns: Record<"head" | "source" | "part" | "day" | "turned" | "releases" | "take", string> & { readonly of: (turning: string, all: string) => string };
  readonly policy: Record<"head" | "line" | "from" | "current" | "coming" | "file" | "none" | "more", string>;
  readonly inForce: (digest: string) => string;
  readonly trust: Record<"head" | "publisher" | "version" | "until" | "keys" | "fingerprint" | "compare", string>;
  readonly uses: Record<string, string>;
  readonly checks: { readonly head: string; readonly line: string; readonly yes: string; readonly no: string; readonly unable: string; readonly first: string; readonly names: Record<"trust" | "lists" | "head" | "tree" | "same" | "grown", string>; readonly part: (read: string) => string; readonly grown: (seen: string) => string; readonly unread: (rest: string) => string };
  readonly self: { readonly head: string; readonly items: readonly (readonly [who: string, what: string, command: string])[] };
  readonly links: Record<"code" | "scan" | "register", string>;
}

const zh: OpenWords = {
  title: "公开与核查",
  line: "这里的数字不必相信我们：都由您的浏览器从公开的签名文件算出。",
  loading: "正在取公开文件…",
  away: "联系不上服务器。下面是本机上次取到的。",
  otherRoot: "服务器的根与本机记住的不同，没有采用。请先核实指纹，再到“扫码核验”页处理。",
  untrusted: "公开文件不能用：不是由这个根签的，或比以前见过的旧。",
  now: { head: "现在", release: "发布", at: "时间", persons: "登记人数", log: "日志条数", root: "日志的根" },
  counts: {
    head: "各色人数",
    source: "由今天的状态名单逐个数出，名单已在本机验签；绿码是日志所载登记人数减去其余。",
    state: "状态",
    people: "人数",
    share: "占比",
    unknown: "暂无颜色",
    withdrawn: "已收回或更换",
    take: "下载 CSV",
  },
  at: (when) => `截至${when}。`,
  turns: {
    head: "每天的变动",
    source: "由公开日志读出，最近的一天在前。城市每隔几秒发布一次，多数时候没有人变动；恰在午夜的发布算在刚结束的那一天。变动本身以承诺形式记录，不露身份。",
    part: "日志很长，只读了最早和最近的部分，其间的日子不全。",
    day: "日期",
    turned: "变动人次",
    releases: "有变动的发布",
    of: (turning, all) => `${turning} / ${all}`,
    take: "下载 CSV（每次发布一行）",
  },
  policy: { head: "政策", line: "判定颜色的全部规则，全文公开。", from: "生效", current: "现行", coming: "将生效", file: "全文", none: "日志的这一部分没有政策。", more: "更早的政策见日志全文。" },
  inForce: (digest) => `最近一次发布所依据的政策（含修订）摘要：${digest}`,
  trust: { head: "谁在签名", publisher: "发布者", version: "信任名单", until: "到期", keys: "有效密钥", fingerprint: "根的指纹", compare: "请与另一途径公布的指纹核对：报纸、公告栏、别人的手机。" },
  uses: { credential: "签码", status: "签名单", log: "签日志", witness: "见证" },
  checks: {
    head: "本机刚才核查了",
    line: "每次打开本页都重新核查。",
    yes: "属实",
    no: "不符",
    unable: "本机未核",
    first: "首次见到，已记住",
    names: {
      trust: "信任名单由根的三位持有人中至少两位签署",
      lists: "每个状态名单都由城市的密钥签署，没有回退",
      head: "日志的头由城市的日志密钥签署",
      tree: "日志的全部条目算出的根，与签署的相同",
      same: "发布指针与签署的日志一致",
      grown: "日志没有改写本机上次见到的部分",
    },
    part: (read) => `日志各层的散列算出的根，与签署的相同；本页读到的 ${read} 条都在其中`,
    grown: (seen) => `日志没有改写本机上次见到的 ${seen} 条`,
    unread: (rest) => `其余 ${rest} 条说了什么、各次发布是否前后相接，没有在浏览器里核查：那要取来整个日志。这条命令全部核查：`,
  },
  self: {
    head: "谁都可以核查",
    items: [
      ["门口", "断网核验一个码", 'kangma verify "KM1:…" --public public'],
      ["任何人", "复核整个公开文件夹，并记住所见，日后查出改动", "kangma audit --public https://… --root 指纹 --marks seen.json"],
      ["城市自己和审计者", "由证据和政策另行推算每一个码", "kangma audit DIR --marks seen.json"],
    ],
  },
  links: { code: "我的码", scan: "扫码核验", register: "事件登记" },
};

const en: OpenWords = {
  title: "In the open",
  line: "You need not believe these figures: your browser works them out from public, signed files.",
  loading: "Fetching the public files…",
  away: "The server cannot be reached. Below is what this device fetched last.",
  otherRoot: "The server’s root is not the one that this device remembers, and was not used. Check the fingerprints, then see to it on the page that checks codes.",
  untrusted: "The public files cannot be used: this root did not sign them, or newer ones were seen before.",
  now: { head: "Now", release: "Release", at: "Time", persons: "People known", log: "Entries in the log", root: "Root of the log" },
  counts: {
    head: "People by state",
    source: "Counted one by one in today’s status lists, whose signatures were checked on this device. Green are the people known, by the log, less all the others.",
    state: "State",
    people: "People",
    share: "Share",
    unknown: "No colour",
    withdrawn: "Withdrawn or replaced",
    take: "Download CSV",
  },
  at: (when) => `As of ${when}.`,
  turns: {
    head: "Turns by day",
    source: "Read from the public log, the newest day first. A city releases every few seconds, and most of the time nobody turns; a release at midnight counts for the day that it ends. The turns themselves stand in the log as commitments that name nobody.",
    part: "The log is long: its beginning and its end were read, so days between them are missing or not whole.",
    day: "Day",
    turned: "Turns",
    releases: "Releases with turns",
    of: (turning, all) => `${turning} of ${all}`,
    take: "Download CSV, a line a release",
  },
  policy: { head: "Policy", line: "All the rules that give a colour, in full.", from: "in force from", current: "In force", coming: "To come", file: "full text", none: "There is no policy in this part of the log.", more: "Earlier ones stand further back in the log." },
  inForce: (digest) => `Digest of the policy, with its amendments, that the last release went by: ${digest}`,
  trust: { head: "Who signs", publisher: "Publisher", version: "Trust list", until: "until", keys: "Keys in use", fingerprint: "Fingerprint of the root", compare: "Compare it with one from elsewhere: a newspaper, a notice board, somebody else’s phone." },
  uses: { credential: "sign codes", status: "sign lists", log: "sign the log", witness: "witness" },
  checks: {
    head: "Checked on this device just now",
    line: "And each time that this page is opened.",
    yes: "holds",
    no: "does not hold",
    unable: "not checked here",
    first: "first seen here, and remembered",
    names: {
      trust: "The trust list is signed by more than half of the root’s keys",
      lists: "Every status list is signed by the city’s key, and none went back",
      head: "The head of the log is signed by the city’s log key",
      tree: "All entries of the log together give the root that was signed",
      same: "The pointer to the last release agrees with the signed log",
      grown: "The log begins, unchanged, with what this device saw last",
    },
    part: (read) => `The hashes of the log’s tree give the root that was signed, and the ${read} entries read here stand in it`,
    grown: (seen) => `The log begins, unchanged, with the ${seen} entries that this device saw last`,
    unread: (rest) => `Not checked in the browser: what the other ${rest} entries say, and whether all releases follow on each other. That takes the whole log, and this command does it:`,
  },
  self: {
    head: "What anybody can check",
    items: [
      ["A door", "verifies a code with no network", 'kangma verify "KM1:…" --public public'],
      ["A stranger", "audits the whole public folder, and remembers it, so that later changes are found", "kangma audit --public https://… --root FINGERPRINT --marks seen.json"],
      ["The city, and its auditors", "derive every code again from evidence and policy, by another way", "kangma audit DIR --marks seen.json"],
    ],
  },
  links: { code: "My code", scan: "Check a code", register: "Register of incidents" },
};

export const OPEN: Record<Language, OpenWords> = { zh, en };
