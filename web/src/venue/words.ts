// The sentences of a door's own page, in Chinese and in English.

import type { Language } from "../look/language.ts";

export type Result = "pass" | "wait" | "unknown";

export interface VenueWords {
  readonly title: string;
  readonly online: string;
  readonly offline: string;
  readonly head: string;
  readonly line: string;
  readonly label: string;
  readonly number: string;
  readonly code: string;
  readonly next: (seconds: number) => string;
  readonly results: Record<Result, string>;
  readonly idle: Record<"head" | "line", string>;
  readonly away: Record<"head" | "line", string>;
  readonly today: string;
  readonly counts: Record<"pass" | "wait" | "unknown" | "left" | "late", string>;
  readonly privacy: string;
  readonly exceptions: string;
  readonly skew: (seconds: number) => string;
  readonly sound: Record<"on" | "off", string>;
  readonly setup: Record<"head" | "line" | "field" | "button" | "wrong" | "noCrypto" | "notKept", string>;
  readonly ended: string;
  readonly change: Record<"button" | "sure", string>;
}

const zh: VenueWords = {
  title: "场所码",
  online: "已联网",
  offline: "未联网，照常可用",
  head: "请扫码登记",
  line: "用手机相机或康码页面扫一扫。离开时再扫一次。",
  label: "本场所的登记码",
  number: "场所",
  code: "验证码",
  next: (seconds) => `${seconds} 秒后更换`,
  results: { pass: "请通行", wait: "请稍候", unknown: "未能核验" },
  idle: { head: "等候扫码", line: "有人扫码后，这里显示是否通行。" },
  away: { head: "未联网", line: "码照常更换，访客照常扫。是否通行请看访客手机，或用核验页。" },
  today: "今天",
  counts: { pass: "通行", wait: "稍候", unknown: "未能核验", left: "离开", late: "事后补交" },
  privacy: "本页只知道人数和是否通行，不知道是谁。",
  exceptions: "急救、回家、做核酸、取药，任何颜色都不得阻拦。",
  skew: (seconds) => `本机时间${seconds > 0 ? "快" : "慢"} ${Math.abs(seconds)} 秒，请校准，否则码可能不被接受。`,
  sound: { on: "声音：开", off: "声音：关" },
  setup: {
    head: "设置本场所",
    line: "登记场所时得到一行密钥，以 KV1. 开头。填入后保存在本机，此后断网也能显示场所码。",
    field: "场所密钥",
    button: "保存",
    wrong: "这不是场所密钥，请检查是否完整。",
    noCrypto: "这个浏览器不给本页用密码功能，画不出场所码。请用 https 打开，或换一个浏览器。",
    notKept: "浏览器不允许本页保存资料，关闭后需要重新填写密钥。",
  },
  ended: "服务器不认这把密钥：场所可能已关闭，或密钥已更换。请向登记机构核实。",
  change: { button: "更换密钥", sure: "确定？再按一次" },
};

const en: VenueWords = {
  title: "Door code",
  online: "Online",
  offline: "Offline, and working",
  head: "Scan to come in",
  line: "With your camera or your code page. Scan again when you leave.",
  label: "The code of this place",
  number: "Place",
  code: "Code",
  next: (seconds) => `new in ${seconds} s`,
  results: { pass: "Please come in", wait: "Please wait", unknown: "Not verified" },
  idle: { head: "Waiting for a scan", line: "Whether somebody passes is shown here." },
  away: { head: "Offline", line: "The code goes on, and so does scanning. Look at the visitor's phone, or use the page that checks codes." },
  today: "Today",
  counts: { pass: "Passed", wait: "Wait", unknown: "Not verified", left: "Left", late: "Handed in later" },
  privacy: "This page knows how many came and whether they passed, never who.",
  exceptions: "Emergency care, going home, tests and medicine are open to everybody, whatever the colour.",
  skew: (seconds) => `This clock is ${Math.abs(seconds)} s ${seconds > 0 ? "fast" : "slow"}. Set it, or codes may be refused.`,
  sound: { on: "Sound: on", off: "Sound: off" },
  setup: {
    head: "Set up this door",
    line: "Registration gave you a line that begins with KV1. It is kept on this device, which then draws the code without a network.",
    field: "Key of the door",
    button: "Keep it",
    wrong: "This is no key of a door. Is the whole line there?",
    noCrypto: "The browser gives this page no cryptography, so it cannot draw the code. Open it over https, or in another browser.",
    notKept: "The browser lets this page keep nothing: once closed, the key must be given again.",
  },
  ended: "The server does not know this key: the door may be closed, or has a new one. Ask where it was registered.",
  change: { button: "Another key", sure: "Sure? Press again" },
};

export const VENUE: Record<Language, VenueWords> = { zh, en };
