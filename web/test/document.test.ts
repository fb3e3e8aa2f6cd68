// A number is called wrong for what the city would refuse it for (kangma.intake.identity), and for nothing else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fault, plainNumber } from "../src/resident/document.ts";

test("a mistyped digit is found by the last character, another length and a day that is none by themselves", () => {
  assert.equal(fault("10", "11010519491231002X"), undefined); // GB 11643-1999, its own example
  assert.equal(fault("10", "110105194912310021"), "check");
  assert.equal(fault("10", "11010519491231002"), "form");
  assert.equal(fault("10", "X10105194912310020"), "form");
  assert.equal(fault("10", "110105194902300020"), "born"); // 30 February, with the character that fits
  assert.equal(fault("20", "E12345678"), undefined);
  assert.equal(fault("20", "E123"), "form");
  assert.equal(fault("20", "E1234-5678"), "form");
  assert.equal(fault("99", "甲-1"), undefined);
  assert.equal(fault("99", ""), "form");
});

test("wide and small characters and spaces are as the city reads them", () => {
  assert.equal(plainNumber(" １１０１０５ 19491231 002ｘ "), "11010519491231002X");
  assert.equal(plainNumber("ß-e1"), "ß-E1");
});
