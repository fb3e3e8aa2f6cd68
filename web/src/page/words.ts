// Every sentence of the page, written in Chinese and in English. Nothing here blames whoever shows a code.

import type { Kind } from "../verify/claims.ts";
import type { Colour, Reason } from "../verify/outcome.ts";

export type Language = "zh" | "en";

export interface Words {
  readonly title: string;
  readonly other: string; // what the button to the other language says
  readonly nothing: { readonly head: string; readonly line: string };
  readonly colours: Record<Colour, { readonly head: string; readonly line: string }>;
  readonly last: (head: string) => string; // the head of a stale result
  readonly notVerified: { readonly head: string; readonly line: string };
  readonly refused: { readonly head: string; readonly line: string };
  readonly reasons: Record<Reason, string>;
  readonly meta: Record<"mask" | "kind" | "issuer" | "until" | "age" | "clock", string>;
  readonly kinds: Record<Kind, string>;
  readonly staleSince: (when: string) => string;
  readonly ago: (seconds: number) => string;
  readonly folder: Record<"head" | "line" | "button" | "none" | "noRoot" | "noTrust" | "otherRoot" | "forget", string>;
  readonly held: (version: number, expires: string, lists: number, refused: number) => string;
  readonly root: string;
  readonly pinned: string;
  readonly code: Record<"head" | "line" | "button" | "hint", string>;
  readonly steps: { readonly head: string; readonly names: readonly string[] };
  readonly marks: Record<"passed" | "failed" | "unreached", string>;
  readonly exceptions: { readonly head: string; readonly line: string };
  readonly offline: string;
  readonly noCrypto: string;
}

const zh: Words = {
  title: "离线核验",
  other: "English",
  nothing: { head: "尚未核验", line: "选好公开文件夹，放入码的文字，就能核验。" },
  colours: {
    green: { head: "绿码", line: "未见异常，请通行。" },
    notice: { head: "绿码 · 有提示", line: "提示解除以前，门口不放行。怎样解除，持码人的手机上有说明。" },
    yellow: { head: "黄码", line: "持码人应居家观察。" },
    red: { head: "红码", line: "持码人应隔离，或正在诊治。" },
  },
  last: (head) => `最后状态：${head}`,
  notVerified: { head: "未能核验", line: "说不准，不是持码人的错。不当绿码，也不当红码。" },
  refused: { head: "不是有效的码", line: "不说明持码人是什么颜色。" },
  reasons: {
    not_a_code: "这不是康码。请持码人打开康码再出示。",
    too_long: "文字太长，不会是康码。",
    bad_base45: "文字不完整或有错字。请重新扫一次。",
    inflates_too_much: "内容大得不合常理，不会是康码。",
    bad_cose: "码的结构不对。请重新扫一次。",
    wrong_algorithm: "码声称的签名算法与密钥不符。",
    no_trust: "没有有效的信任名单。请先更新名单。",
    wrong_environment: "这是测试用的码，不是正式的码。",
    unknown_key: "信任名单里没有签这个码的密钥。请更新名单再试。",
    revoked_key: "签这个码的密钥已经作废。请持码人更新康码。",
    wrong_use: "签这个码的密钥不能签这一种码。",
    key_not_yet: "签这个码的密钥还没有启用。请看看本机时间对不对。",
    key_over: "签这个码的密钥早已到期。请持码人更新康码。",
    wrong_authority: "码上写的签发城市与密钥不符。",
    bad_signature: "签名不对，码被改过或是伪造的。",
    bad_claims: "码里的内容不合规定。",
    lives_too_long: "码的有效期长得不合规定。",
    not_yet: "还没到这个码生效的时间。",
    expired: "码已过期。请持码人更新康码，纸质码请换新。",
    no_proof: "手机码缺少当场证明，可能是截屏。请持码人在手机上打开康码。",
    unexpected_proof: "纸质码不该带当场证明。",
    bad_proof: "当场证明不对，不是这部手机出示的。",
    proof_old: "这是一分钟以前的码，可能是截屏。请持码人重新打开康码。",
    proof_ahead: "码的时间比本机早到了。请对一对两边的时间。",
    no_list: "没有这个码的状态名单。请更新名单。",
    bad_list: "状态名单的签名或格式不对。请重新取名单。",
    rolled_back: "状态名单比以前见过的旧，不能用。请更新名单。",
    list_over: "状态名单已过期。请更新名单。",
    no_such_index: "状态名单里没有这个码的位置。",
    withdrawn: "这个码已被收回，多半是持码人换了新码。请出示新码。",
    unknown_status: "这个码的状态暂时不明。",
  },
  meta: { mask: "持码人", kind: "载体", issuer: "签发", until: "有效期至", age: "名单签发", clock: "本机时间" },
  kinds: { phone: "手机码", paper: "纸质码，请核对身份证件", proxy: "代办码，由家人出示" },
  staleSince: (when) => `自 ${when} 起没有新的名单，请尽快更新。`,
  ago: (seconds) =>
    seconds < 60
      ? `${Math.max(0, seconds)} 秒前`
      : seconds < 7_200
        ? `${Math.floor(seconds / 60)} 分钟前`
        : seconds < 172_800
          ? `${Math.floor(seconds / 3_600)} 小时前`
          : `${Math.floor(seconds / 86_400)} 天前`,
  folder: {
    head: "1 公开文件夹",
    line: "里面有 root、trust 和 status。谁都可以下载，放在本机上用。",
    button: "选择文件夹",
    none: "还没有选。",
    noRoot: "这个文件夹里没有可用的 root。",
    noTrust: "信任名单不能用：不是由这个根签的，或比以前见过的旧。",
    otherRoot: "这个文件夹的根与本机记住的不同，所以没有采用。根很少更换：请先向发布者核实指纹。",
    forget: "改用这个根",
  },
  held: (version, expires, lists, refused) =>
    `信任名单第 ${version} 版，${expires} 到期；${lists} 个状态名单可用${refused > 0 ? `，${refused} 个不能用` : ""}。`,
  root: "根的指纹",
  pinned: "本机已记住。与公布的指纹逐组核对。",
  code: { head: "2 码的文字", line: "扫码得到的文字，以 KM1: 开头。", button: "核验", hint: "KM1:…" },
  steps: {
    head: "九个步骤",
    names: [
      "文字变成字节，长度在限度之内",
      "一条 COSE 签名消息，算法由密钥决定",
      "密钥在信任名单里：环境、用途、日期",
      "签名",
      "内容只有规定的几项",
      "时间",
      "持码手机的当场证明",
      "状态名单：签名、新旧",
      "结论，并说明依据有多新",
    ],
  },
  marks: { passed: "通过", failed: "未通过", unreached: "没有做到" },
  exceptions: { head: "任何颜色都不得拒绝", line: "急救、回家、做核酸、取药。" },
  offline: "本页不联网，也不能联网：浏览器按页内的规定禁止一切请求。码和文件都不离开这台设备。",
  noCrypto: "这个浏览器不给本页用密码功能。请从本机文件或 https 打开。",
};

const en: Words = {
  title: "Verify offline",
  other: "中文",
  nothing: { head: "Nothing verified yet", line: "Choose the public folder and put in the text of a code." },
  colours: {
    green: { head: "Green", line: "Nothing stands against it. Please pass." },
    notice: { head: "Green, with a notice", line: "Not before the notice is lifted. The holder's phone says how." },
    yellow: { head: "Yellow", line: "The holder is asked to stay at home." },
    red: { head: "Red", line: "The holder is asked to isolate or is in care." },
  },
  last: (head) => `Last known: ${head}`,
  notVerified: { head: "Not verified", line: "We cannot say, and it is not the holder’s fault. Neither green nor red." },
  refused: { head: "Not a valid code", line: "It says nothing about the holder’s colour." },
  reasons: {
    not_a_code: "This is not a Kangma code. Ask the holder to open theirs.",
    too_long: "The text is too long to be a code.",
    bad_base45: "The text is incomplete or has a wrong character. Scan it again.",
    inflates_too_much: "Its content is larger than any code’s.",
    bad_cose: "The code is not built as codes are. Scan it again.",
    wrong_algorithm: "It claims another signature algorithm than its key has.",
    no_trust: "There is no trust list in force. Update the lists first.",
    wrong_environment: "This is a code for testing, not a real one.",
    unknown_key: "The trust list does not know the key that signed it. Update the lists and try again.",
    revoked_key: "The key that signed it was revoked. Ask the holder to renew the code.",
    wrong_use: "The key that signed it may not sign codes of this kind.",
    key_not_yet: "The key that signed it is not in use yet. Is this device’s clock right?",
    key_over: "The key that signed it ended long ago. Ask the holder to renew the code.",
    wrong_authority: "It names another city than the one whose key signed it.",
    bad_signature: "The signature is wrong: the code was changed or made up.",
    bad_claims: "It says something that no code says.",
    lives_too_long: "It claims to be valid for longer than a code may be.",
    not_yet: "It is not valid yet.",
    expired: "It has expired. Ask the holder to renew it; paper is replaced by new paper.",
    no_proof: "The phone’s proof is missing, as in a picture of a code. Ask the holder to open the code on the phone.",
    unexpected_proof: "Paper carries no proof, and this one does.",
    bad_proof: "The proof was not made by the holder’s phone.",
    proof_old: "This code was shown more than a minute ago, as in a picture. Ask the holder to open it again.",
    proof_ahead: "The code is ahead of this device’s clock. Compare both clocks.",
    no_list: "There is no status list for this code. Update the lists.",
    bad_list: "The status list is not signed or not built as lists are. Fetch the lists again.",
    rolled_back: "The status list is older than one seen before. Update the lists.",
    list_over: "The status list has ended. Update the lists.",
    no_such_index: "The status list does not reach as far as this code.",
    withdrawn: "This code was withdrawn, most often because the holder has a new one. Ask for the new one.",
    unknown_status: "The status of this code is not known at the moment.",
  },
  meta: { mask: "Holder", kind: "Carried as", issuer: "Issued by", until: "Valid until", age: "List signed", clock: "This device" },
  kinds: { phone: "phone", paper: "paper: check the ID card or passport", proxy: "proxy: shown by family" },
  staleSince: (when) => `Stale since ${when}: no newer list is here. Update soon.`,
  ago: (seconds) => {
    const [n, unit] =
      seconds < 60
        ? [Math.max(0, seconds), "second"]
        : seconds < 7_200
          ? [Math.floor(seconds / 60), "minute"]
          : seconds < 172_800
            ? [Math.floor(seconds / 3_600), "hour"]
            : [Math.floor(seconds / 86_400), "day"];
    return `${n} ${unit}${n === 1 ? "" : "s"} ago`;
  },
  folder: {
    head: "1 Public folder",
    line: "It holds root, trust and status. Anybody may download it and keep it here.",
    button: "Choose the folder",
    none: "None chosen yet.",
    noRoot: "There is no root in this folder that can be read.",
    noTrust: "The trust list cannot be used: this root did not sign it, or a newer one was seen before.",
    otherRoot:
      "This folder has another root than the one this device remembers, and was not used. Roots change rarely: ask the publisher about the fingerprint first.",
    forget: "Use this root instead",
  },
  held: (version, expires, lists, refused) =>
    `Trust list version ${version}, until ${expires}; ${lists} status list${lists === 1 ? "" : "s"} in use${refused > 0 ? `, ${refused} not usable` : ""}.`,
  root: "Fingerprint of the root",
  pinned: "Remembered by this device. Compare it, group by group, with the one that was published.",
  code: { head: "2 Text of the code", line: "What a scanner reads; it begins with KM1:", button: "Verify", hint: "KM1:…" },
  steps: {
    head: "Nine steps",
    names: [
      "Text to bytes, within limits",
      "One COSE message, its algorithm fixed by the key",
      "The key in the trust list: environment, use, dates",
      "The signature",
      "Nothing said beyond the closed list",
      "Times",
      "The proof of the holder’s phone",
      "The status list: signature, age",
      "The verdict, with the age of what it rests on",
    ],
  },
  marks: { passed: "passed", failed: "failed", unreached: "not reached" },
  exceptions: { head: "Never refused, whatever the colour", line: "Emergency care, going home, testing, medicine." },
  offline:
    "This page makes no network call, and cannot: a policy inside it makes the browser forbid them all. Codes and files stay on this device.",
  noCrypto: "The browser gives this page no cryptography. Open it from a file of yours or over https.",
};

export const WORDS: Record<Language, Words> = { zh, en };
