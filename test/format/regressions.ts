/** Histories that once failed, as fast-check shrank them. */
import type { History } from './histories.js'

/** What went wrong, and the history. */
export const REGRESSIONS: Readonly<Record<string, History>> = {
  'a copy is materialised and removed by one operation': {
    skews: [0, 0],
    steps: [
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'hear', device: 1, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'rename', device: 0, a: 41, b: 0 },
      { kind: 'create', device: 1, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 3, b: 0 },
      { kind: 'unlink', device: 0, a: 0, b: 0 }
    ],
    order: 0
  },
  'content that was replaced comes back because its times were set elsewhere': {
    skews: [0, 0],
    steps: [
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'hear', device: 1, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 3, b: 112 },
      { kind: 'touch', device: 1, a: 0, b: 0 },
      { kind: 'unlink', device: 0, a: 0, b: 0 }
    ],
    order: 0
  },
  'an edit of a companion covers a version that was not the shown one': {
    skews: [0, 0],
    steps: [
      { kind: 'create', device: 1, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 579, b: 0 },
      { kind: 'unlink', device: 0, a: 0, b: 0 },
      { kind: 'rename', device: 1, a: 500, b: 133 },
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 192, b: 0 },
      { kind: 'create', device: 1, a: 0, b: 333 },
      { kind: 'hear', device: 3, a: 0, b: 0 },
      { kind: 'create', device: 1, a: 398, b: 0 }
    ],
    order: 0
  },
  'a copy is hidden because the first link is in a directory not heard of': {
    skews: [-1_023_022, 0],
    steps: [
      { kind: 'create', device: 1, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 528, b: 792 },
      { kind: 'hear', device: 1, a: 0, b: 134 },
      { kind: 'unlink', device: 1, a: 0, b: 0 },
      { kind: 'mkdir', device: 3, a: 0, b: 176 },
      { kind: 'create', device: 3, a: 0, b: 0 },
      { kind: 'rename', device: 1, a: 0, b: 241 },
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'link', device: 0, a: 0, b: 341 },
      { kind: 'hear', device: 0, a: 225, b: 447 },
      { kind: 'unlink', device: 0, a: 0, b: 0 }
    ],
    order: 0
  },
  'deleted content comes back when the node that came back is renamed': {
    skews: [0, 0],
    steps: [
      { kind: 'create', device: 3, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 339, b: 0 },
      { kind: 'create', device: 1, a: 0, b: 0 },
      { kind: 'unlink', device: 3, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 435, b: 0 },
      { kind: 'rename', device: 0, a: 0, b: 166 }
    ],
    order: 0
  },
  'a directory that came back goes with the last thing in it': {
    skews: [0, 0],
    steps: [
      { kind: 'mkdir', device: 0, a: 0, b: 0 },
      { kind: 'hear', device: 3, a: 0, b: 432 },
      { kind: 'rmdir', device: 0, a: 0, b: 0 },
      { kind: 'mkdir', device: 3, a: 0, b: 153 },
      { kind: 'hear', device: 0, a: 201, b: 0 },
      { kind: 'rmdir', device: 0, a: 0, b: 0 }
    ],
    order: 0
  },
  'a file that came back loses its name when it gets another link': {
    skews: [0, 0],
    steps: [
      { kind: 'create', device: 3, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 381, b: 0 },
      { kind: 'unlink', device: 3, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 57, b: 0 },
      { kind: 'link', device: 0, a: 0, b: 221 }
    ],
    order: 0
  },
  'a directory under a conflict name takes the name when something happens in it': {
    skews: [0, 0],
    steps: [
      { kind: 'mkdir', device: 1, a: 747, b: 171 },
      { kind: 'hear', device: 0, a: 163, b: 0 },
      { kind: 'rmdir', device: 1, a: 0, b: 0 },
      { kind: 'create', device: 3, a: 0, b: 8 },
      { kind: 'create', device: 0, a: 0, b: 513 },
      { kind: 'hear', device: 0, a: 313, b: 0 },
      { kind: 'chmod', device: 0, a: 980, b: 0 }
    ],
    order: 0
  },
  'an edit through another link renames a companion': {
    skews: [0, 0],
    steps: [
      { kind: 'create', device: 0, a: 0, b: 22 },
      { kind: 'link', device: 0, a: 0, b: 580 },
      { kind: 'create', device: 3, a: 0, b: 2 },
      { kind: 'create', device: 0, a: 0, b: 338 },
      { kind: 'hear', device: 1, a: 0, b: 0 },
      { kind: 'create', device: 3, a: 0, b: 0 }
    ],
    order: 0
  },
  'a rename ends a cycle, and the directory whose move was void jumps': {
    skews: [0, 0],
    steps: [
      { kind: 'mkdir', device: 3, a: 0, b: 0 },
      { kind: 'mkdir', device: 3, a: 111, b: 0 },
      { kind: 'hear', device: 0, a: 1, b: 0 },
      { kind: 'renameDir', device: 0, a: 0, b: 752 },
      { kind: 'renameDir', device: 3, a: 339, b: 274 },
      { kind: 'hear', device: 0, a: 201, b: 0 },
      { kind: 'renameDir', device: 0, a: 639, b: 0 }
    ],
    order: 0
  },
  'one operation settles two names of a node, and forgets one of them': {
    skews: [0, 0],
    steps: [
      { kind: 'create', device: 0, a: 517, b: 553 },
      { kind: 'create', device: 3, a: 0, b: 0 },
      { kind: 'rename', device: 1, a: 144, b: 458 },
      { kind: 'hear', device: 0, a: 435, b: 0 },
      { kind: 'create', device: 3, a: 408, b: 587 },
      { kind: 'write', device: 0, a: 49, b: 0 },
      { kind: 'link', device: 0, a: 0, b: 433 },
      { kind: 'write', device: 3, a: 45, b: 0 },
      { kind: 'hear', device: 0, a: 33, b: 0 },
      { kind: 'rename', device: 0, a: 0, b: 647 }
    ],
    order: 0
  },
  'settling a copy makes its settler the author of a journal elsewhere': {
    skews: [0, 0, 0],
    steps: [
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'create', device: 2, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 5, b: 0 },
      { kind: 'create', device: 2, a: 0, b: 162 },
      { kind: 'write', device: 2, a: 0, b: 0 },
      { kind: 'rename', device: 0, a: 371, b: 973 },
      { kind: 'link', device: 0, a: 0, b: 466 },
      { kind: 'link', device: 0, a: 0, b: 138 },
      { kind: 'create', device: 0, a: 314, b: 288 },
      { kind: 'write', device: 0, a: 0, b: 0 }
    ],
    order: 0,
    later: [{ kind: 'write', device: 2, a: 778, b: 0 }]
  },
  'directories of one listing part when one of them is stored under its derived name': {
    skews: [0, 0, 0, 0, 0],
    steps: [
      { kind: 'mkdir', device: 1, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 936, b: 0 },
      { kind: 'mkdir', device: 2, a: 77, b: 493 },
      { kind: 'rmdir', device: 0, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 49, b: 181 },
      { kind: 'mkdir', device: 1, a: 0, b: 163 }
    ],
    order: 0,
    later: [{ kind: 'rmdir', device: 0, a: 0, b: 0 }]
  },
  // Nothing is lost by it, and DESIGN 4.3 has it so: the ledger must not forbid it.
  'what was chosen in a conflict comes back when others replaced, chose and removed': {
    skews: [0, 3],
    steps: [
      { kind: 'symlink', device: 0, a: 483, b: 403 },
      { kind: 'create', device: 0, a: 0, b: 0 },
      { kind: 'same', device: 0, a: 459, b: 329 },
      { kind: 'hear', device: 1, a: 0, b: 0 },
      { kind: 'unlink', device: 0, a: 0, b: 0 },
      { kind: 'unlink', device: 0, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 41, b: 16 },
      { kind: 'create', device: 0, a: 498, b: 0 },
      { kind: 'create', device: 1, a: 0, b: 638 },
      { kind: 'hear', device: 3, a: 0, b: 0 },
      { kind: 'unlink', device: 0, a: 0, b: 0 },
      { kind: 'write', device: 0, a: 0, b: 0 },
      { kind: 'hear', device: 0, a: 339, b: 12 },
      { kind: 'write', device: 3, a: 0, b: 0 },
      { kind: 'unlink', device: 0, a: 0, b: 0 }
    ],
    order: 0
  },
  'a journal is named after a directory of its base’s name': {
    skews: [0, 0],
    steps: [
      { kind: 'mkdir', device: 3, a: 0, b: 777 },
      { kind: 'hear', device: 0, a: 547, b: 0 },
      { kind: 'rmdir', device: 0, a: 0, b: 0 },
      { kind: 'symlink', device: 3, a: 0, b: 463 },
      { kind: 'create', device: 0, a: 0, b: 258 },
      { kind: 'hear', device: 3, a: 0, b: 0 },
      { kind: 'write', device: 0, a: 0, b: 0 },
      { kind: 'create', device: 0, a: 0, b: 287 },
      { kind: 'write', device: 3, a: 0, b: 0 }
    ],
    order: 0,
    later: [{ kind: 'create', device: 0, a: 0, b: 635 }]
  }
}
