// What the console's pages share: moments in the reader's zone, also those typed into forms; buttons that copy; and Ctrl+K
// for the search box.
(() => {
  const formats = {
    minutes: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }),
    seconds: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }),
  };

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  const localize = (root) => {
    for (const element of root.querySelectorAll("time[data-precision]")) {
      element.textContent = formats[element.dataset.precision].format(new Date(element.dateTime));
      element.removeAttribute("data-precision");
    }
    for (const option of root.querySelectorAll("[data-moments] option")) {
      const [exact, day, time] = /(\S+) (\S+) UTC/.exec(option.text) ?? [];
      if (!exact) continue;
      option.title = exact;
      option.text = option.text.replace(exact, formats.minutes.format(new Date(`${day}T${time}Z`)));
    }
    if (!zone) return;
    for (const field of root.querySelectorAll("[data-zone]")) field.value = zone;
    for (const name of root.querySelectorAll("[data-zone-name]")) name.textContent = zone.replaceAll("_", " ");
  };

  // For a moment a button says something else than its label.
  const say = (button, text, milliseconds) => {
    button.dataset.label ??= button.textContent;
    button.setAttribute("aria-live", "polite");
    button.textContent = text;
    clearTimeout(button.dataset.timer);
    button.dataset.timer = setTimeout(() => { button.textContent = button.dataset.label; }, milliseconds);
  };

  // <button data-copy="text"> or <button data-copy-from="#id">; the button says whether it has been done. Without https a
  // browser has no clipboard for a page.
  const copy = async (button) => {
    const source = button.dataset.copyFrom;
    const text = source ? document.querySelector(source).textContent : button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
      say(button, "Copied", 1500);
    } catch {
      say(button, "The browser did not let us copy it. Mark the text and copy it.", 6000);
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (button) copy(button);
  });

  document.addEventListener("keydown", (event) => {
    const box = document.getElementById("licensing-search");
    if (box && event.key === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      box.focus();
      box.select();
    }
  });

  document.addEventListener("DOMContentLoaded", () => localize(document));
  document.addEventListener("htmx:load", (event) => localize(event.detail.elt));
})();

// Licenses: a key comes to the clipboard by a request that is noted; none is made where it could not be copied.
(() => {
  const NOT_COPIED = "The browser did not let us copy it. Show the key instead.";

  // Copies the key, and returns what to say then.
  const copyKey = async (form) => {
    if (!navigator.clipboard) return NOT_COPIED;
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) }).catch(() => null);
    if (answer?.redirected) return "You are signed out by now. Reload the page and sign in.";
    if (!answer?.ok) return "We could not get the key. Reload the page and try again.";
    const { key } = await answer.json();
    return navigator.clipboard.writeText(key).then(() => "Copied.", () => NOT_COPIED);
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-copy-key]");
    if (!form) return;
    event.preventDefault();
    form.querySelector("[role=status]").textContent = await copyKey(form);
  });
})();

// Product mappings: searchable lists that follow the chosen store and license server, and presets that fill the policies.
(() => {
  const field = (name) => document.getElementById(`id_${name}`);
  const chosen = (name) => field(name)?.value ?? "";

  // The list's script names neither the box nor what it controls.
  const labelled = (select, element) => {
    element.removeAttribute("aria-labelledby");
    element.setAttribute("aria-controls", `select2-${select.id}-results`);
    const text = element.querySelector(".select2-selection__rendered");
    text.removeAttribute("role");
    text.removeAttribute("aria-readonly");
    element.setAttribute("aria-label", `${select.labels[0]?.textContent.trim().replace(/[:*]+$/, "") ?? ""}: ${select.selectedOptions[0]?.text || "nothing chosen"}`);
  };

  // Below each list: why it is missing, and a button that asks for it anew.
  const addLine = (select, reload) => {
    const line = document.createElement("div");
    line.className = "li-picker-line";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Reload the list";
    button.addEventListener("click", reload);
    const note = document.createElement("span");
    note.setAttribute("role", "status");
    line.append(button, note);
    select.parentNode.insertBefore(line, select.nextSibling.nextSibling);
    return note;
  };

  const addPicker = ($, select, url) => {
    let isAskedAnew = false;
    const $select = $(select);
    const asked = () => ({
      what: select.dataset.picker, store: chosen("store"), server: chosen("server"), product: chosen("product_id"),
    });
    $select.select2({
      theme: "admin-autocomplete",
      width: "100%",
      tags: true,
      insertTag: (entries, typed) => entries.push(typed), // what is listed comes before what was typed
      allowClear: true,
      placeholder: select.dataset.placeholder,
      language: { noResults: () => "Nothing is listed. Type the id and press Enter." },
      ajax: {
        url,
        delay: 150,
        data: () => ({ ...asked(), ...(isAskedAnew ? { reload: 1 } : {}) }),
        processResults: (answer, params) => {
          isAskedAnew = false;
          note.textContent = answer.problem;
          const term = (params.term ?? "").trim().toLowerCase();
          const isIt = (entry) => entry.id.toLowerCase() === term;
          const found = answer.results.filter((entry) => entry.text.toLowerCase().includes(term));
          return { results: found.sort((one, other) => isIt(other) - isIt(one)) };
        },
      },
    });
    const note = addLine(select, () => {
      isAskedAnew = true;
      $select.select2("open");
    });
    const { $selection } = $select.data("select2");
    const relabel = () => labelled(select, $selection[0]);
    relabel();
    $select.on("change", relabel);
    // What was chosen earlier is shown by its name once the list is there.
    const showName = async () => {
      const option = select.selectedOptions[0];
      if (!option?.value || option.text !== option.value || select.dataset.picker === "store_product") return;
      const answer = await (await fetch(`${url}?${new URLSearchParams(asked())}`)).json();
      note.textContent = answer.problem;
      const found = answer.results.find((entry) => entry.id === option.value);
      if (!found) return;
      option.text = found.text;
      $select.trigger("change.select2");
      relabel();
    };
    showName();
    $select.on("select2:open", () => {
      const box = document.querySelector(".select2-container--open .select2-search__field");
      box?.setAttribute("aria-label", `Search: ${select.labels[0]?.textContent.trim()}`);
      box?.focus();
    });
  };

  // Says beside each policy what counts while its field is empty.
  const followStore = (defaults) => {
    const show = () => {
      for (const [name, said] of Object.entries(defaults[chosen("store")] ?? {})) {
        document.querySelectorAll(`[data-default-of="${name}"]`).forEach((element) => { element.textContent = said; });
      }
    };
    field("store")?.addEventListener("change", show);
    show();
  };

  const fill = (values) => {
    for (const [name, value] of Object.entries(values)) {
      const input = field(name);
      input.value = value;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      input.dispatchEvent(new Event("change", { bubbles: true }));
    }
  };

  // A button for each entry of the list that, without a script, fills the fields on saving.
  const addPresets = (presets) => {
    const list = field("preset");
    if (!list) return;
    const empty = Object.fromEntries(Object.keys(Object.values(presets)[0][""]).map((name) => [name, ""]));
    const group = document.createElement("div");
    group.className = "li-presets";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Fill in the policies below");
    for (const option of list.options) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "li-button";
      button.textContent = option.value ? option.textContent : "Empty: the store's defaults";
      button.addEventListener("click", () => {
        fill(option.value ? presets[option.value][chosen("server")] ?? presets[option.value][""] : empty);
      });
      group.append(button);
    }
    list.parentElement.replaceWith(group); // with the theme's frame around it
  };

  document.addEventListener("DOMContentLoaded", () => {
    const data = document.getElementById("li-mapping-data");
    if (!data || !document.querySelector("[data-picker]")) return;
    const { choices_url: url, defaults, presets } = JSON.parse(data.textContent);
    const $ = window.django.jQuery;
    document.querySelectorAll("[data-picker]").forEach((select) => addPicker($, select, url));
    followStore(defaults);
    addPresets(presets);
  });
})();

// What the theme leaves out for those who cannot see or use no mouse: its icons are words of a font, some of its links are
// nothing but such an icon, much that is pressed is no button, and no part of the page is called the main one.
(() => {
  const PRESSED_NATIVELY = "a[href], button, input, select, textarea, summary, label";
  const NAMES = { sidebarDesktopOpen: "Show or hide the menu", sidebarMobileOpen: "Show or hide the menu", openTheme: "Light or dark" };

  // The words of an element without those that stand for icons.
  const wordsOf = (element) => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll(".material-symbols-outlined").forEach((icon) => icon.remove());
    return element.matches(".material-symbols-outlined") ? "" : copy.textContent.trim();
  };

  const nameIcon = (icon) => {
    const pressed = icon.closest("a, button");
    if (pressed && !pressed.hasAttribute("aria-label") && !wordsOf(pressed)) {
      pressed.setAttribute("aria-label", pressed.title || (pressed.type === "submit" ? "Search" : "Start"));
    }
    if (!icon.hasAttribute("x-on:click")) icon.setAttribute("aria-hidden", "true");
  };

  // Whatever else Alpine listens on becomes a button: Tab reaches it, Enter and the space bar press it.
  const makeButton = (element) => {
    const code = element.getAttribute("x-on:click");
    const name = Object.keys(NAMES).find((word) => code.includes(word));
    if (!name && !element.title && !wordsOf(element)) return; // the shade behind an open panel
    element.setAttribute("role", "button");
    element.tabIndex = 0;
    if (!wordsOf(element)) element.setAttribute("aria-label", NAMES[name] ?? element.title);
    element.addEventListener("keydown", (event) => {
      if (event.target !== element || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      element.click();
    });
    const [, switched] = /^(\w+) = !\1$/.exec(code) ?? [];
    if (switched) window.Alpine?.effect(() => element.setAttribute("aria-expanded", Boolean(window.Alpine.evaluate(element, switched))));
  };

  const nameMain = () => {
    const main = document.getElementById("content") ?? document.getElementById("page");
    main?.setAttribute("role", "main");
    main?.setAttribute("tabindex", "-1"); // so that the link that skips the menu moves the focus too
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const element of document.querySelectorAll("[x-on\\:click]")) {
      if (!element.matches(PRESSED_NATIVELY)) makeButton(element);
    }
    document.querySelectorAll(".material-symbols-outlined").forEach(nameIcon);
    nameMain();
    // Where an action is confirmed, the first thing to fill in; what the page says above it stays in view.
    const field = document.querySelector("[data-focus-first] :is(input:not([type=hidden]), select, textarea)");
    field?.focus({ preventScroll: true });
  });
})();

// A scale that grows tenfold is labelled at 1, 2 and 5 of each power of ten; at the powers only where that is too much.
(() => {
  const MOST_LABELS = 8;
  const leading = (value) => Number(value.toExponential().split("e")[0]);
  const keep = (ticks, digits) => ticks.filter((tick) => digits.includes(leading(tick.value)));
  const scale = window.Chart?.defaults.scales.logarithmic;
  if (!scale) return;
  scale.afterBuildTicks = (axis) => {
    const fine = keep(axis.ticks, [1, 2, 5]);
    axis.ticks = fine.length > MOST_LABELS ? keep(axis.ticks, [1]) : fine;
  };
  Object.assign(scale.ticks, { autoSkip: false, callback: (value) => value.toLocaleString(undefined, { maximumSignificantDigits: 1 }) });
})();
