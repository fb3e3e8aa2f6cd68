// The door's sentences, in Chinese and in English. What they share with the verifying page is in ../page/words.ts.

import type { Language } from "../look/language.ts";
import type { Colour } from "../verify/outcome.ts";

type Said = { readonly head: string; readonly line: string };

export interface ScanWords {
  readonly title: string;
  readonly idle: Said;
  readonly looking: string;
  readonly heads: Record<Colour, string>;
  readonly unverified: string;
  readonly paper: string;
  readonly camera: Record<"start" | "none" | "refused" | "failed" | "off", string>;
  readonly sound: Record<"on" | "off", string>;
  readonly next: string;
  readonly meta: Record<"holder" | "hidden" | "clock" | "age" | "none" | "until" | "issuer", string>;
  readonly hand: Record<"head" | "line" | "hint" | "button" | "picture" | "nothing", string>;
  readonly lists: Record<"head" | "root" | "pinned" | "update" | "working" | "unreachable" | "refused" | "fresh" | "never", string>;
  readonly held: (lists: number, version: number, until: string) => string;
  readonly reached: (when: string) => string;
  readonly elsewhere: (city: string, lists: number, signed: string) => string;
  readonly first: Said;
  readonly old: (age: string) => string;
  readonly other: Record<"head" | "line" | "pinned" | "offered" | "keep" | "sure" | "use", string>;
  readonly offline: string;
  readonly online: string;
  readonly noLists: string;
}

const zh: ScanWords = {
  title: "扫码核验",
  idle: { head: "请出示康码", line: "对准镜头，手机码和纸质码都可以。" },
  looking: "核验中",
  heads: { green: "请通行", notice: "请稍候", yellow: "请稍候", red: "请稍候" },
  unverified: "未能核验",
  paper: "纸质码：请核对身份证件。",
  camera: {
    start: "打开摄像头",
    none: "这台设备没有可用的摄像头。可以选图片，或输入码的文字。",
    refused: "浏览器没有允许使用摄像头。请在浏览器设置中允许，或选图片、输入文字。",
    failed: "摄像头打不开，可能正被别的程序使用。",
    off: "画面只在本机识别，不保存，不上传。",
  },
  sound: { on: "声音：开", off: "声音：关" },
  next: "下一位",
  meta: { holder: "持码人", hidden: "姓名不显示", clock: "本机时间", age: "名单签发", none: "没有名单", until: "有效期至", issuer: "签发" },
  hand: {
    head: "不用摄像头",
    line: "选一张码的图片，或输入扫码得到的文字。",
    hint: "以 KM1: 开头的文字",
    button: "核验",
    picture: "选择图片",
    nothing: "这张图片里没有认出码。请拍近一些、正一些。",
  },
  lists: {
    head: "名单与根",
    root: "根的指纹",
    pinned: "第一次使用时已记住。请与公布的指纹逐组核对。",
    update: "更新名单",
    working: "正在更新…",
    unreachable: "联系不上服务器，继续使用本机上的名单。",
    refused: "服务器给的名单不能用，没有采用。继续使用本机上的名单。",
    fresh: "名单已是最新。",
    never: "本机还没有名单。请联网打开一次。",
  },
  held: (lists, version, until) => `${lists} 个状态名单；信任名单第 ${version} 版，${until} 到期。`,
  reached: (when) => `上次更新：${when}。`,
  elsewhere: (city, lists, signed) => (lists === 0 ? `${city}：本机没有其名单，其码无法核验。` : `${city}：${lists} 个状态名单，${signed} 签发。`),
  first: { head: "先取一次名单", line: "联网打开一次，此后断网也能核验。" },
  old: (age) => `名单是${age}的，请尽快联网更新。`,
  other: {
    head: "服务器的根变了，没有采用",
    line: "根很少更换。这可能是有人冒充。本机继续使用记住的根和名单；请向发布者核实两个指纹。",
    pinned: "本机记住的",
    offered: "服务器给的",
    keep: "继续用记住的根",
    sure: "我已向发布者核实新的指纹",
    use: "改用新的根",
  },
  offline: "断网可用",
  online: "已更新",
  noLists: "无名单",
};

const en: ScanWords = {
  title: "Check a code",
  idle: { head: "Show your code", line: "Hold it to the camera: on a phone or on paper." },
  looking: "Checking",
  heads: { green: "Please pass", notice: "Please wait", yellow: "Please wait", red: "Please wait" },
  unverified: "Not verified",
  paper: "On paper: check the ID card or passport.",
  camera: {
    start: "Start the camera",
    none: "There is no camera here. Choose a picture, or type the text of the code.",
    refused: "The browser does not allow the camera. Allow it in its settings, or choose a picture or type the text.",
    failed: "The camera does not start. Another program may be using it.",
    off: "Pictures are read on this device, and neither kept nor sent.",
  },
  sound: { on: "Sound: on", off: "Sound: off" },
  next: "Next person",
  meta: { holder: "Holder", hidden: "Name not shown", clock: "This device", age: "Lists signed", none: "no lists", until: "Valid until", issuer: "Issued by" },
  hand: {
    head: "Without the camera",
    line: "Choose a picture of a code, or type the text that a scanner reads.",
    hint: "Text that begins with KM1:",
    button: "Check",
    picture: "Choose a picture",
    nothing: "No code was found in this picture. Take it closer and straighter.",
  },
  lists: {
    head: "Lists and root",
    root: "Fingerprint of the root",
    pinned: "Remembered since the first use. Compare it, group by group, with the one that was published.",
    update: "Update the lists",
    working: "Updating…",
    unreachable: "The server cannot be reached. The lists on this device stay in use.",
    refused: "What the server offers cannot be believed, and was not used. The lists on this device stay in use.",
    fresh: "The lists are the newest there are.",
    never: "There are no lists on this device yet. Open this page once with a network.",
  },
  held: (lists, version, until) => `${lists} status list${lists === 1 ? "" : "s"}; trust list version ${version}, until ${until}.`,
  reached: (when) => `Last updated: ${when}.`,
  elsewhere: (city, lists, signed) =>
    lists === 0 ? `${city}: no lists here; its codes cannot be checked.` : `${city}: ${lists} status list${lists === 1 ? "" : "s"}, signed ${signed}.`,
  first: { head: "Lists first", line: "Open this page once with a network; then it works without." },
  old: (age) => `The lists were signed ${age}. Go online soon to update them.`,
  other: {
    head: "The server’s root has changed, and was not used",
    line: "Roots change rarely: this may be an impostor. The remembered root and its lists stay in use. Ask the publisher about both fingerprints.",
    pinned: "Remembered here",
    offered: "Offered by the server",
    keep: "Stay with the remembered root",
    sure: "I have checked the new fingerprint with the publisher",
    use: "Use the new root",
  },
  offline: "Works offline",
  online: "Up to date",
  noLists: "No lists",
};

export const SCAN: Record<Language, ScanWords> = { zh, en };
