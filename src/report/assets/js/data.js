// What the page holds: the report's head, the listed rows, their pictures.

const PACKED_PNG = /^[A-Za-z0-9+/=]+$/;

async function unpack(id) {
  const text = document.getElementById(id).textContent;
  if (text === '') return null;
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).json();
}

/// The report's head.
export function readHead() {
  return JSON.parse(document.getElementById('report-head').textContent);
}

/// The listed rows: columns, with what the script asks for.
export class Rows {
  constructor(block, head) {
    Object.assign(this, block);
    this.length = block.row.length;
    this.causeOf = new Map(head.causes.map((cause, i) => [cause.fingerprint, { ...cause, i }]));
    this.at = new Map(block.row.map((row, i) => [row, i]));
    this.texts = new Array(this.length);
    this.byList = block.lists.map(() => []);
    block.causes.forEach((list, i) => this.byList[list].push(i));
    this.thumbs = null;
  }

  static async read(head) {
    return new Rows(await unpack('rows-data'), head);
  }

  labelOf(i) {
    return this.labels[this.label[i]] ?? '';
  }

  suggestedOf(i) {
    return this.suggested[i] ? this.labels[this.suggested[i] - 1] : null;
  }

  codesOf(i) {
    return this.lists[this.codes[i]] ?? [];
  }

  causesOf(i) {
    return this.lists[this.causes[i]] ?? [];
  }

  sourceOf(i) {
    return this.source.length > 0 ? this.sources[this.source[i]] : null;
  }

  fileOf(i) {
    return this.files[this.file[i]] ?? '';
  }

  /// The listed rows of a cause.
  ofCause(fingerprint) {
    const places = this.lists.flatMap((list, at) => (list.includes(fingerprint) ? this.byList[at] : []));
    return places.sort((a, b) => a - b);
  }

  /// What a search looks through, in small letters.
  textOf(i) {
    this.texts[i] ??= [this.row[i], this.id[i] ?? '', this.labelOf(i), this.reason[i], ...(this.cells[i] ?? [])].join('\n').toLowerCase();
    return this.texts[i];
  }

  /// The pictures by row, unpacked on first use.
  async pictures() {
    this.thumbs ??= unpack('pictures-data');
    return this.thumbs;
  }
}

/// What lies beside the listed rows; nothing where that was not looked at.
export async function readBeside() {
  return unpack('beside-data');
}

/// The address of a picture, if it is one.
export function pictureAddress(base64) {
  return PACKED_PNG.test(base64) ? `data:image/png;base64,${base64}` : '';
}
