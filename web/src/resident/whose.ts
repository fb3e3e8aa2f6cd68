/** Somebody whose code this phone shows: the one it is bound to (""), or one of four others. */
export type Whose = "" | "1" | "2" | "3" | "4";

export const EVERYBODY: readonly Whose[] = ["", "1", "2", "3", "4"];
