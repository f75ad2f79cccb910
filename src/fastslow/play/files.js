// Files in and out of the page: pictures, folders of them, projects, and the page itself with what was taught in it.
"use strict";

const TAUGHT_BEGIN = '<script type="application/json" id="taught">';
const STORED_AS = `fastslow-play ${globalThis.location?.pathname}`;

/** What a picture is taught as: the folder it lies in, of those below the one that was chosen; else its file's name,
 * where numbers at the end count drawings of one class. */
function nameOfPicture(path) {
  const parts = path.split("/").filter(Boolean);
  if (parts.length > 2) return parts[parts.length - 2];
  const stem = parts[parts.length - 1].replace(/\.[^.]*$/, "");
  return stem.replace(/[-_ ]*\(?\d+\)?$/, "") || stem;
}

/** Of a folder's files those that are pictures, in the order of their paths: {path, file}. */
function picturesIn(files) {
  const found = files.filter(({ path, file }) => file.type.startsWith("image/") && !/(^|\/)\./.test(path));
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Files with their paths, as a file input has them. */
const chosen = (files) => files.map((file) => ({ path: file.webkitRelativePath || file.name, file }));

/** Files with their paths, of all that was dropped: files, and folders with what is in them. */
async function dropped(transfer) {
  const files = chosen([...transfer.files]); // now: when there is more to wait for, they are gone
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.every((entry) => entry.isFile)) return files;
  return (await Promise.all(entries.map(filesOf))).flat();
}

async function filesOf(entry) {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) return [{ path, file: await asked((give, fail) => entry.file(give, fail)) }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await asked((give, fail) => reader.readEntries(give, fail)); // a hundred at a time
    if (some.length === 0) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesOf))).flat();
}

/** What a browser gives of a folder; a page that was opened as a file may not look into one. */
async function asked(question) {
  try {
    return await new Promise(question);
  } catch {
    throw new Refusal("This browser does not let the page read what lies in that folder. Use “Import a folder”.");
  }
}

/** Teaches a project more: each picture under its name. What could not be read is told, file by file. */
async function withPictures(project, pictures, engine) {
  const failed = [];
  for (const { path, file } of pictures) {
    try {
      const drawing = await drawingOfFile(file, engine.imageSize);
      project = withDrawing(project, nameOfPicture(path), drawing, engine);
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof UnclearDrawing)) throw error;
      failed.push(`“${file.name}”: ${error.message}`);
    }
  }
  return { project, failed };
}

/** Has the browser save a text as a file. */
function download(text, type, name) {
  const link = made("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** A page with a project in it, which it opens with; `page` is its text without one. */
function pageWith(page, project) {
  const begin = page.indexOf(TAUGHT_BEGIN) + TAUGHT_BEGIN.length;
  const end = page.indexOf("</" + "script>", begin);
  return page.slice(0, begin) + toFile(project).replaceAll("<", "\\u003c") + page.slice(end);
}

/** What this tab keeps when it is loaded anew; a browser that keeps nothing has it begin from nothing. */
const kept = {
  read() {
    try {
      return sessionStorage.getItem(STORED_AS);
    } catch {
      return null;
    }
  },
  write(text) {
    try {
      sessionStorage.setItem(STORED_AS, text);
    } catch {
      // not kept
    }
  },
};
