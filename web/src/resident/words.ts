// The resident's sentences, in Chinese and in English. Plain, without blame; what a rule says comes from the policy.

import type { Language } from "../look/language.ts";

type Said = { readonly head: string; readonly line: string };
export type Named = "green" | "notice" | "yellow" | "red" | "unknown";

export interface ResidentWords {
  readonly title: string;
  readonly tabs: Record<"code" | "scan" | "others" | "looks" | "more", string>;
  readonly states: Record<Named, Said>;
  readonly means: Record<Named, string>;
  readonly day: (n: number, of: number) => string;
  readonly ends: (day: string) => string;
  readonly last: (head: string) => string;
  readonly updated: string;
  readonly offline: (ago: string) => string;
  readonly alone: (until: string) => string;
  readonly changed: string;
  readonly qr: Record<"label" | "show" | "hide" | "none" | "today" | "renewed", string>;
  readonly facts: Record<"nat" | "vaccination" | "none", string>;
  readonly tube: Said; // a positive sample of several people
  readonly products: Record<string, string>;
  readonly nat: (result: string, days: number | null) => string;
  readonly vaccination: Record<"none" | "partial" | "basic" | "booster", string>;
  readonly hold: Record<"way" | "clears" | "tests" | "ends" | "open" | "capped", string> & Record<"since" | "latest", (when: string) => string>;
  readonly more: (n: number) => string;
  readonly way: string;
  readonly or: string;
  readonly decided: Record<"head" | "policy" | "digest", string>;
  readonly bind: Record<"head" | "line" | "type" | "number" | "name" | "send" | "sent" | "code" | "confirm" | "back" | "wrong" | "away" | "refused" | "keep" | "ended" | "step1" | "step2", string>;
  readonly number: Record<"10" | "permit" | "99", { readonly hint: string; readonly wrong: string }> & Record<"check" | "born", string>;
  readonly groups: Record<"records" | "paper" | "devices", string>;
  readonly types: Record<"10" | "20" | "14" | "15" | "16" | "34" | "99", string>;
  readonly others: Record<"head" | "line" | "none" | "add" | "child" | "childLine" | "elder" | "elderLine" | "asked" | "remove" | "sure" | "guardian" | "consent" | "notYours" | "show" | "full" | "back" | "addChild" | "ask", string>;
  readonly looks: Record<"head" | "line" | "none", string>;
  readonly who: Record<string, string>;
  readonly purposes: Record<string, string>;
  readonly lists: Record<"tests" | "vaccinations" | "visits" | "none" | "away" | "loading", string>;
  readonly results: Record<string, string>;
  readonly pooled: string;
  readonly dose: (n: number) => string;
  readonly sources: Record<string, string>;
  readonly paper: Record<"head" | "title" | "line" | "make" | "print" | "pdf" | "png" | "until" | "check" | "next", string>;
  readonly devices: Record<"head" | "line" | "bound" | "seen" | "end" | "sure" | "mine", string>;
  readonly export: Record<"head" | "line" | "button", string>;
  readonly leave: Record<"head" | "line" | "button" | "sure", string>;
  readonly elsewhere: Record<"head" | "scan" | "open", string>;
  readonly failed: Record<"away" | "refused" | "unbound", string>;
  readonly lesser: (n: number) => string; // holds that do not make the colour
  readonly hidden: string;
  readonly working: string;
  readonly noCrypto: string;
  readonly notKept: string;
}

const zh: ResidentWords = {
  title: "我的码",
  tabs: { code: "我的码", scan: "扫码", others: "家人", looks: "谁看过", more: "更多" },
  states: {
    green: { head: "绿码", line: "未见异常" },
    notice: { head: "绿码 · 有提示", line: "有事请您看一看" },
    yellow: { head: "黄码", line: "请居家" },
    red: { head: "红码", line: "请隔离或就医" },
    unknown: { head: "暂无颜色", line: "资料还不足以判断" },
  },
  means: {
    green: "可以正常出行。",
    notice: "您的码是绿的，但有提示要办；提示解除以前，门口不放行。急救、回家、做核酸、取药不受影响。",
    yellow: "请留在家中，按要求做核酸。急救、做核酸、取药不受影响。",
    red: "请按安排隔离或就医。急救、回家、做核酸、取药不受影响。",
    unknown: "不是绿码，也不是黄码、红码。请走人工办法。",
  },
  day: (n, of) => `第 ${n} 天，共 ${of} 天`,
  ends: (day) => `预计${day}结束`,
  last: (head) => `上次：${head}`,
  updated: "刚刚更新",
  offline: (ago) => `未联网 · ${ago}的状态`,
  alone: (until) => `断网可用到${until}`,
  changed: "此后状态可能已变，请联网更新。",
  qr: { label: "我的康码二维码", show: "出示我的码", hide: "收起二维码", none: "本机还没有今天的码。请联网。", today: "有效期至", renewed: "每 30 秒更新" },
  facts: { nat: "核酸", vaccination: "疫苗", none: "无记录" },
  tube: { head: "混检阳性", line: "待单人复核，不表示您已感染。做一次单人核酸，阴性即解除。" },
  products: { inactivated: "灭活疫苗", subunit: "重组蛋白疫苗", vector: "腺病毒载体疫苗", mrna: "mRNA 疫苗" },
  nat: (result, days) => `${result}${days === null ? "" : days === 0 ? " · 当天" : ` · ${days}\u00a0天`}`,
  vaccination: { none: "未接种", partial: "未完成接种", basic: "已完成接种", booster: "已加强接种" },
  hold: {
    way: "怎么解除",
    clears: "出现下列情形也会解除",
    tests: "核酸日期",
    since: (day) => `${day}起`,
    ends: "预计解除",
    latest: (when) => `，最迟${when}`,
    open: "没有到期日，办完即解除",
    capped: "已到最长期限，到时自动解除。",
  },
  more: (n) => `另有 ${n} 条，联网后在“导出”中可见。`,
  way: "下一步",
  or: "或者",
  decided: { head: "这是怎样判定的（供核查）", policy: "规则版本", digest: "摘要" },
  bind: {
    head: "领取康码",
    line: "用证件领取一次，以后打开就是。",
    type: "证件类型",
    number: "证件号码",
    name: "证件上的姓名",
    send: "发送验证码",
    sent: "如果证件和姓名相符，验证码已发往登记的手机，10 分钟内有效。",
    code: "6 位验证码",
    confirm: "完成",
    back: "重新填写",
    wrong: "验证码不对或已失效。可以再试，或重新获取。",
    away: "联系不上服务器，请稍后再试。",
    refused: "号码与证件类型不符，请检查。",
    keep: "密钥在本机生成，不会离开本机。号码只用来查对，不保存在本机。",
    ended: "这台设备已解除绑定，请重新领取。",
    step1: "第一步，共两步",
    step2: "第二步，共两步",
  },
  number: {
    "10": { hint: "18 位，最后一位可能是 X。", wrong: "居民身份证号码有 18 位：17 位数字，最后一位是数字或 X。请逐位核对。" },
    permit: { hint: "字母和数字，例如 E12345678。", wrong: "护照或通行证号码是 5 至 20 位字母和数字，没有汉字和符号，例如 E12345678。" },
    "99": { hint: "请照证件填写。", wrong: "号码最多 64 个字符。请照证件填写。" },
    check: "最后一位与前 17 位对不上，有一位可能填错了。请逐位核对。",
    born: "第 7 至 14 位不是一个出生日期，有一位可能填错了。请逐位核对。",
  },
  groups: { records: "我的记录", paper: "没有手机时", devices: "设备与授权" },
  types: { "10": "居民身份证", "20": "护照", "14": "港澳居民来往内地通行证", "15": "台湾居民来往大陆通行证", "16": "台湾居民一次性通行证", "34": "外国人永久居留证", "99": "其他证件" },
  others: {
    head: "家人",
    line: "最多替四位家人出示码、登记到访。每一次，以及手机每一次取得三天内离线出示的凭据，对方都能看到。",
    none: "还没有添加。",
    add: "添加家人",
    child: "孩子",
    childLine: "您登记为监护人的孩子，可以直接添加。进门时在“扫码”里一起登记。",
    elder: "老人和其他家人",
    elderLine: "验证码会发到对方的手机上。对方告诉您，就是同意您代为出示和登记到访，随时可以收回。",
    asked: "如果证件和姓名相符，验证码已发到对方手机。",
    remove: "不再代办",
    sure: "确定？再按一次",
    guardian: "监护人",
    consent: "经本人同意",
    notYours: "没有找到由您监护的这个孩子。请检查号码和姓名。",
    show: "出示",
    full: "已添加四位。",
    back: "返回",
    addChild: "添加孩子",
    ask: "请对方同意",
  },
  looks: { head: "谁看过", line: "每一次查看您的状态，都记在这里；可离线代为出示的，记下手机何时取得凭据。门口离线核验不经过服务器，也不留记录。", none: "还没有人看过。" },
  who: { officer: "卫生部门工作人员", guardian: "您的监护人", consent: "您同意代办的家人" },
  purposes: { appeal: "处理申诉", show: "代为出示", offline: "离线代为出示，最多三天", enter: "代为登记到访", ride: "乘车核验" },
  lists: { tests: "核酸检测", vaccinations: "疫苗接种", visits: "近 14 天到访", none: "没有记录。", away: "需要联网才能查看。", loading: "正在取…" },
  results: { negative: "阴性", positive: "阳性", inconclusive: "待复核", invalid: "无效", pending: "待结果" },
  pooled: "混检",
  dose: (n) => `第 ${n} 剂`,
  sources: { scan: "扫码", scan_static: "扫码", telecom: "通信", transit: "乘车", declared: "自述", ticket: "购票" },
  paper: {
    head: "纸质码",
    title: "纸质健康码",
    line: "给不用手机的人，也可自备一份。28 天有效，出示时请带身份证件。",
    make: "制作纸质码",
    print: "打印",
    pdf: "存为 PDF",
    png: "存为图片",
    until: "有效期至",
    check: "请与身份证件一起出示",
    next: "几分钟后各处门口可以核验。",
  },
  devices: { head: "已绑定的设备", line: "丢失或转让的设备，请在这里解除。所有设备的码随后更换。", bound: "绑定于", seen: "最近续期", end: "解除", sure: "确定？再按一次", mine: "本机" },
  export: { head: "导出", line: "关于您的全部资料，一个文件。", button: "下载" },
  leave: { head: "解除绑定", line: "本机和其他设备上的码都将失效。以后可以再领。", button: "解除绑定", sure: "确定解除？再按一次" },
  elsewhere: { head: "其他", scan: "扫码核验", open: "公开与核查" },
  failed: { away: "联系不上服务器，请稍后再试。", refused: "没有办成，请检查后再试。", unbound: "这台设备已解除绑定，请重新领取。" },
  lesser: (n) => `另有 ${n} 条提示（不决定颜色）`,
  hidden: "姓名不显示",
  working: "服务器正受攻击，这台设备在自动验算，请稍候几秒，不用做什么。",
  noCrypto: "这个浏览器不给本页用密码功能，无法保管密钥。请用 https 打开，或换一个浏览器。",
  notKept: "浏览器不允许本页保存资料，关闭后需要重新领取。",
};

const en: ResidentWords = {
  title: "My code",
  tabs: { code: "My code", scan: "Scan", others: "Family", looks: "Who looked", more: "More" },
  states: {
    green: { head: "Green", line: "Nothing stands against it" },
    notice: { head: "Green, with a notice", line: "Something for you to read" },
    yellow: { head: "Yellow", line: "Stay at home" },
    red: { head: "Red", line: "Isolate, or in care" },
    unknown: { head: "No colour", line: "Not enough is known" },
  },
  means: {
    green: "You can go about as usual.",
    notice: "Your code is green, with a notice. Until it ends, doors do not let you in. Emergency care, going home, tests and medicine stay open to you.",
    yellow: "Please stay at home and take the tests that are set. Emergency care, tests and medicine stay open to you.",
    red: "Please isolate or be treated as arranged. Emergency care, going home, tests and medicine stay open to you.",
    unknown: "This is neither green nor yellow nor red. Ask for the paper route.",
  },
  day: (n, of) => `Day ${n} of ${of}`,
  ends: (day) => `ends ${day}`,
  last: (head) => `Last known: ${head}`,
  updated: "Updated just now",
  offline: (ago) => `Offline · as of ${ago}`,
  alone: (until) => `works offline until ${until}`,
  changed: "It may have changed since. Go online to update.",
  qr: { label: "QR of my code", show: "Show my code", hide: "Hide the QR", none: "There is no code for today on this device. Go online.", today: "Valid until", renewed: "New every 30 seconds" },
  facts: { nat: "Test", vaccination: "Vaccine", none: "No record" },
  tube: { head: "Pooled sample positive", line: "A single test is needed; this does not mean that you are infected. A negative one of your own settles it." },
  products: { inactivated: "inactivated", subunit: "protein subunit", vector: "viral vector", mrna: "mRNA" },
  nat: (result, days) => `${result}${days === null ? "" : days === 0 ? " · today" : ` · ${days}\u00a0d`}`,
  vaccination: { none: "None", partial: "Begun", basic: "Complete", booster: "Boosted" },
  hold: {
    way: "The way out",
    clears: "It also ends when",
    tests: "Test dates",
    since: (day) => `Since ${day}`,
    ends: "Expected to end",
    latest: (when) => `, at the latest on ${when}`,
    open: "No fixed end: it ends once this is done",
    capped: "It has reached the longest time allowed, and ends by itself.",
  },
  more: (n) => `${n} more: online, under “Export”.`,
  way: "What comes next",
  or: "Or:",
  decided: { head: "How this was decided, for who checks it", policy: "Rules", digest: "Digest" },
  bind: {
    head: "Get your code",
    line: "With a document, once. After that just open this page.",
    type: "Document",
    number: "Number",
    name: "Name on the document",
    send: "Send me a code",
    sent: "If document and name agree, a code is on its way to the phone on record. It is good for 10 minutes.",
    code: "6-digit code",
    confirm: "Finish",
    back: "Start again",
    wrong: "That is not the code, or it is over. Try again, or start again.",
    away: "The server cannot be reached. Try again in a moment.",
    refused: "This number is none of its type. Please check it.",
    keep: "The key is made on this device and never leaves it. The number is only looked up, and not kept here.",
    ended: "This device is bound no more. Please get your code again.",
    step1: "Step 1 of 2",
    step2: "Step 2 of 2",
  },
  number: {
    "10": { hint: "18 characters; the last may be an X.", wrong: "The number on an identity card has 18 characters: 17 digits, and a last one that is a digit or an X. Please compare them." },
    permit: { hint: "Letters and digits, such as E12345678.", wrong: "The number of a passport or permit has 5 to 20 letters and digits and nothing else, such as E12345678." },
    "99": { hint: "As it stands on the document.", wrong: "The number has 64 characters at most. Please type it as it stands on the document." },
    check: "The last character does not fit the 17 before it, so one of them may be mistyped. Please compare them.",
    born: "Characters 7 to 14 are no date of birth, so one of them may be mistyped. Please compare them.",
  },
  groups: { records: "My records", paper: "Without a phone", devices: "Devices and consent" },
  types: {
    "10": "Resident identity card",
    "20": "Passport",
    "14": "Hong Kong or Macao permit",
    "15": "Taiwan permit",
    "16": "One-time Taiwan permit",
    "34": "Permanent resident card",
    "99": "Another document",
  },
  others: {
    head: "Family",
    line: "You can show the codes of up to four others and register their visits. They see each time that you do, and each time that your phone is given what shows it without a network for three days.",
    none: "Nobody yet.",
    add: "Add somebody",
    child: "A child",
    childLine: "A child whose registered guardian you are is added at once. At doors you register both of you, under “Scan”.",
    elder: "An elder, or somebody else",
    elderLine: "A code goes to their phone. By telling it to you they agree that you show their code and register their visits. They can take that back at any time.",
    asked: "If document and name agree, a code is on its way to their phone.",
    remove: "Stop showing",
    sure: "Sure? Press again",
    guardian: "as guardian",
    consent: "with their consent",
    notYours: "No child in your care was found by this. Check number and name.",
    show: "Show",
    full: "Four are here already.",
    back: "Back",
    addChild: "Add the child",
    ask: "Ask for their consent",
  },
  looks: { head: "Who looked", line: "Every look at your state is noted here; of whoever may show it without a network, that their phone was enabled to. Doors check codes offline, without a server and without a trace.", none: "Nobody has looked." },
  who: { officer: "A health officer", guardian: "Your guardian", consent: "Family, with your consent" },
  purposes: { appeal: "to answer your appeal", show: "to show your code", offline: "to show your code without a network, for three days at most", enter: "to register a visit of yours", ride: "before a ride" },
  lists: { tests: "Tests", vaccinations: "Vaccinations", visits: "Visits of 14 days", none: "No records.", away: "This needs a network.", loading: "Fetching…" },
  results: { negative: "Negative", positive: "Positive", inconclusive: "Inconclusive", invalid: "Invalid", pending: "Pending" },
  pooled: "pooled",
  dose: (n) => `dose ${n}`,
  sources: { scan: "scanned", scan_static: "scanned", telecom: "telecom", transit: "transport", declared: "declared", ticket: "ticket" },
  paper: {
    head: "On paper",
    title: "Health code on paper",
    line: "For whoever carries no phone, and as a spare. Good for 28 days; bring the document that it names (ID card, passport).",
    make: "Make a paper code",
    print: "Print",
    pdf: "Save as PDF",
    png: "Save as picture",
    until: "Valid until",
    check: "Show it with your ID card or passport",
    next: "Doors can check it in a few minutes.",
  },
  devices: {
    head: "Bound devices",
    line: "End a device that is lost or given away. The codes of all devices are replaced then.",
    bound: "bound",
    seen: "last renewed",
    end: "End",
    sure: "Sure? Press again",
    mine: "This device",
  },
  export: { head: "Export", line: "Everything about you in one file.", button: "Download" },
  leave: { head: "Unbind", line: "The codes on this and your other devices end. You can get a new one at any time.", button: "Unbind", sure: "Really unbind? Press again" },
  elsewhere: { head: "Elsewhere", scan: "Check a code", open: "In the open" },
  failed: { away: "The server cannot be reached. Try again in a moment.", refused: "That did not work. Check it and try again.", unbound: "This device is bound no more. Please get your code again." },
  lesser: (n) => `${n} more ${n === 1 ? "notice" : "notices"}, beside the colour`,
  hidden: "Name not shown",
  working: "The server is under attack. Your device is working out a number for it: a few seconds, nothing for you to do.",
  noCrypto: "The browser gives this page no cryptography, so it cannot keep a key. Open it over https, or in another browser.",
  notKept: "The browser lets this page keep nothing: once closed, you have to get the code again.",
};

export const RESIDENT: Record<Language, ResidentWords> = { zh, en };
