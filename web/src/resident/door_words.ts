// What is said at a door, and of an appeal; in Chinese and in English.

import type { Language } from "../look/language.ts";
import type { Trouble } from "../scan/camera.ts";

export interface DoorWords {
  readonly head: string;
  readonly line: string;
  readonly privacy: string;
  readonly camera: Record<Trouble | "start" | "off", string>;
  readonly hand: Record<"head" | "line" | "venue" | "code" | "button" | "wrong", string>;
  readonly working: string;
  readonly results: Record<"pass" | "wait" | "unknown", string>;
  readonly exceptions: string;
  readonly sealed: string;
  readonly left: string;
  readonly late: string;
  readonly here: (place: string, names: string) => string;
  readonly with: Record<"head" | "me" | "nobody", string>;
  readonly and: string; // between names
  readonly since: (since: string, until: string) => string;
  readonly leaving: string;
  readonly ask: Record<"link" | "there" | "enter" | "leave" | "stay" | "no", string> & { readonly old: (ago: string) => string };
  readonly kept: Record<"head" | "line" | "left", string>;
  readonly waiting: (n: number) => string;
  readonly until: (when: string) => string;
  readonly refused: { readonly head: string } & Record<string, string>;
  readonly came: string; // beside a visit that was scanned in
}
export interface ObjectWords {
  readonly head: string;
  readonly line: string;
  readonly why: string;
  readonly whys: Record<string, string>;
  readonly text: string;
  readonly hint: string;
  readonly what: string;
  readonly send: string;
  readonly refused: Record<string, string>;
  readonly mine: string;
  readonly states: Record<string, string>;
  readonly machine: Record<string, string>;
  readonly by: (when: string) => string;
  readonly overdue: string;
  readonly answer: string;
  readonly follows: Record<string, string>;
  readonly steps: string;
  readonly who: Record<string, string>;
  readonly did: Record<string, string>;
  readonly withdraw: string;
  readonly sure: string;
  readonly list: string;
}

const zh: DoorWords = {
  head: "扫场所码",
  line: "进门时扫一次，离开时再扫一次。",
  privacy: "场所只知道有人通行，不知道是您。到访记录加密保存，只用于查找与病例的接触，14 天后删除。没有网络也可以扫：先存在本机，联网后自动补交。",
  camera: {
    start: "打开摄像头",
    off: "画面只在本机识别，不保存，不上传。",
    none: "这台设备没有可用的摄像头。请在下面输入号码。",
    refused: "浏览器没有允许使用摄像头。请在浏览器设置中允许，或在下面输入号码。",
    failed: "摄像头打不开，可能正被别的程序使用。",
  },
  hand: { head: "输入号码", line: "两个号码都在场所码下面。", venue: "场所", code: "验证码", button: "登记", wrong: "场所号码不对，请核对八位数字。" },
  working: "正在登记…",
  results: { pass: "请通行", wait: "请稍候", unknown: "未能核验" },
  exceptions: "急救、回家、做核酸、取药不受影响。",
  sealed: "到访已加密保存",
  left: "已记下离开",
  late: "到访已补交",
  here: (place, names) => `${names === "" ? "您" : names}在：${place}`,
  with: { head: "这次登记", me: "我", nobody: "请至少选一位。" },
  and: "、",
  since: (since, until) => (until === "" ? `${since} 起` : `${since} 起；不扫离开时，按停留到 ${until} 计`),
  leaving: "离开时请再扫一次门口的码。",
  ask: { link: "在这里登记到访？", there: "离开，还是继续停留？", enter: "登记", leave: "离开", stay: "继续停留", no: "不登记", old: (ago) => `这个码是${ago}的。您当时在那里吗？` },
  kept: { head: "已存在本机", line: "现在没有网络。到访已记下，联网后自动补交。是否通行请出示您的码。", left: "现在没有网络。离开时间已记下，联网后自动补交。" },
  waiting: (n) => `${n} 条记录在本机等候补交。`,
  until: (when) => `请在 ${when} 前联网打开一次。`,
  refused: {
    head: "没有登记",
    none: "这不是场所码。",
    unknown_venue: "这不是本市的场所码，或场所已关闭。",
    wrong_code: "这个验证码不是那一分钟的。请重新扫门口正在显示的码。",
    code_too_old: "这个码太旧了，已不能补交。",
    code_ahead: "这个码来自将来：门口设备的时间不对。请告诉工作人员。",
    ends_before_start: "离开早于进入，请重新扫码。",
    bad_time: "停留超过一天，按登记的时长计。",
    full: "本机等候补交的记录已满，请先联网。",
    not_found: "这位家人已不由您代办。",
    other: "没有办成，请再扫一次。",
  },
  came: "加密登记",
};
const en: DoorWords = {
  head: "Scan a door",
  line: "Once when you come, once more when you leave.",
  privacy: "The place learns that somebody passed, and not that it was you. The visit is kept sealed, serves only to find contact with a case, and is deleted after 14 days. It works without a network: scans wait on this phone and go by themselves.",
  camera: {
    start: "Open the camera",
    off: "What the camera sees stays on this phone, and is not kept.",
    none: "This device has no camera to use. Type the numbers below.",
    refused: "The browser did not allow the camera. Allow it in its settings, or type the numbers below.",
    failed: "The camera cannot be opened; another program may be using it.",
  },
  hand: { head: "Type the numbers", line: "Both stand below the door's code.", venue: "Place", code: "Code", button: "Register", wrong: "That is no place's number. Compare its eight digits." },
  working: "Registering…",
  results: { pass: "Please come in", wait: "Please wait", unknown: "Not verified" },
  exceptions: "Emergency care, going home, tests and medicine stay open to you.",
  sealed: "The visit is kept, sealed",
  left: "Leaving is noted",
  late: "The visit was handed in",
  here: (place, names) => `${names === "" ? "You are" : names} at: ${place}`,
  with: { head: "Register", me: "Me", nobody: "Choose somebody." },
  and: ", ",
  since: (since, until) => (until === "" ? `Since ${since}` : `Since ${since}; counted until ${until} unless you scan on leaving`),
  leaving: "Scan the door's code again when you leave.",
  ask: { link: "Register that you are here?", there: "Are you leaving, or staying?", enter: "Register", leave: "I am leaving", stay: "Staying", no: "No", old: (ago) => `This code is from ${ago}. Were you there then?` },
  kept: { head: "Kept on this phone", line: "There is no network now. Your visit is noted and goes by itself later. Show your code to pass.", left: "There is no network now. When you left is noted and goes by itself later." },
  waiting: (n) => `${n} ${n === 1 ? "scan waits" : "scans wait"} on this phone.`,
  until: (when) => `Open this page with a network by ${when}.`,
  refused: {
    head: "Not registered",
    none: "This is not the code of a door.",
    unknown_venue: "This is no door of this city, or it is closed.",
    wrong_code: "That is not the code of that minute. Scan what the door shows now.",
    code_too_old: "This code is too old to be handed in.",
    code_ahead: "This code is from the future: the clock at the door is wrong. Please tell them.",
    ends_before_start: "You cannot leave before you came. Please scan again.",
    bad_time: "Longer than a day: the usual length is counted.",
    full: "Too many scans wait on this phone. Go online first.",
    not_found: "They are in your care here no more.",
    other: "That did not work. Please scan again.",
  },
  came: "sealed",
};
const objectZh: ObjectWords = {
  head: "认为不对？申诉",
  line: "系统会马上重新推算一次；24 小时内由人答复，须两人同意。申诉期间，急救、回家、做核酸、取药不受影响。",
  why: "哪里不对",
  whys: { not_me: "说的不是我", not_there: "我当时不在那里", wrong_result: "检测结果不对", done: "要求的事我已办完", wrong_place: "地址或区域不对", other: "其他" },
  text: "请说明（可不填）",
  hint: "500 字以内。请不要写别人的姓名。",
  what: "哪一份检测或到访（编号或时间，可不填）",
  send: "提交申诉",
  refused: { already_open: "对这一条的申诉正在处理。", too_many_rows: "申诉已达上限，请等候答复。", no_hold: "这一条已经不在您的码上，请更新后再看。" },
  mine: "我的申诉",
  states: { open: "等候答复", proposed: "已有处理意见，等第二人同意", granted: "申诉成立", dismissed: "维持原判", settled: "已自行解除", withdrawn: "已撤回" },
  machine: { stands: "重新推算：依据现有证据，这一条仍成立。", gone: "重新推算：依据现有证据，这一条已不成立，下次更新时解除。" },
  by: (when) => `最迟 ${when} 答复`,
  overdue: "答复已超期。",
  answer: "答复",
  follows: { clearance: "已据此作出解除证明，下次更新时生效。", retraction: "有误的证据已收回，下次更新时生效。" },
  steps: "经过",
  who: { resident: "您", machine: "系统", officer: "工作人员" },
  did: { filed: "提交", stands: "重新推算：仍成立", gone: "重新推算：不成立", looked: "查看", proposed: "提出处理意见", returned: "第二人未同意，退回", granted: "同意：成立", dismissed: "同意：维持", settled: "已自行解除", withdrawn: "撤回" },
  withdraw: "撤回申诉",
  sure: "确定？再按一次",
  list: "申诉",
};
const objectEn: ObjectWords = {
  head: "This is wrong? Appeal",
  line: "Your code is derived again at once. People answer within 24 hours, and two of them must agree. Emergency care, going home, tests and medicine stay open to you meanwhile.",
  why: "What is wrong",
  whys: { not_me: "It is about somebody else", not_there: "I was not there then", wrong_result: "The result is not right", done: "What was asked is done", wrong_place: "The address or area is not mine", other: "Something else" },
  text: "In your words (you need not)",
  hint: "Up to 500 characters. Please name nobody else.",
  what: "Which test or visit (its number or time; you need not)",
  send: "Send the appeal",
  refused: { already_open: "An appeal against this is open already.", too_many_rows: "You have as many appeals as can be open. Please wait for the answers.", no_hold: "This is on your code no more. Update, and look again." },
  mine: "My appeal",
  states: { open: "Waiting for an answer", proposed: "Decided by one, waiting for a second", granted: "Granted", dismissed: "The hold stands", settled: "It ended by itself", withdrawn: "Withdrawn" },
  machine: { stands: "Derived again: by the evidence there is, it stands.", gone: "Derived again: by the evidence there is, it no longer stands, and ends with the next update." },
  by: (when) => `Answered by ${when} at the latest`,
  overdue: "The answer is overdue.",
  answer: "The answer",
  follows: { clearance: "A clearance was made; it takes effect with the next update.", retraction: "The wrong evidence was taken back; it takes effect with the next update." },
  steps: "What was done",
  who: { resident: "You", machine: "The system", officer: "An officer" },
  did: { filed: "sent it", stands: "derived it again: it stands", gone: "derived it again: it is gone", looked: "looked", proposed: "proposed a decision", returned: "did not agree; back to the queue", granted: "agreed: granted", dismissed: "agreed: it stands", settled: "it ended by itself", withdrawn: "withdrew it" },
  withdraw: "Withdraw",
  sure: "Sure? Press again",
  list: "Appeals",
};
export const DOOR: Record<Language, DoorWords> = { zh, en };
export const OBJECT: Record<Language, ObjectWords> = { zh: objectZh, en: objectEn };
