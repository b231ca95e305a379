// Views by the address behind #, tables that sort and filter, graphs when they are first looked at.
// Data becomes text nodes only: nothing here makes markup of it.
(function () {
  "use strict";
  var root = document.documentElement;
  var main = document.querySelector("main");
  var PAGE = 100;
  var CHIPS = 14;
  var SIGNS = { error: "✖", warning: "▲", note: "●", good: "✓" };
  var SEVERITIES = ["error", "warning", "note", ""];
  var views = Array.from(document.querySelectorAll(".view"));
  var overview = document.getElementById("/");
  root.classList.add("js");

  function make(tag, text, kind) {
    var element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  }

  // Cells: a value, [value, text] or [value or null, text, link]
  function valueOf(cell) { return !Array.isArray(cell) ? cell : cell[0] === null ? cell[1] : cell[0]; }
  function textOf(cell) {
    if (Array.isArray(cell)) return cell[1];
    if (cell === null) return "";
    return typeof cell === "number" ? String(cell).replace(/\B(?=(\d{3})+$)/g, ",") : cell;
  }
  function severityRank(name) { return SEVERITIES.indexOf(name); }

  function severityMark(name) {
    var kind = name || "good";
    var mark = make("span", undefined, "severity " + kind);
    var sign = make("span", SIGNS[kind] || "");
    sign.setAttribute("aria-hidden", "true");
    mark.append(sign, " " + (name || "clean"));
    return mark;
  }

  function inside(link) { return link.startsWith("#/") || /^captures\/[\w.-]+$/.test(link); }

  function fill(target, cell, column) {
    if (column.kind === "severity") {
      target.append(severityMark(textOf(cell)));
    } else if (column.kind === "rules") {
      textOf(cell).split(" ").forEach(function (code, place) {
        if (place) target.append(" ");
        if (!document.getElementById("/rule/" + code)) { target.append(code); return; }
        var link = make("a", code);
        link.href = "#/rule/" + code;
        target.append(link);
      });
    } else if (Array.isArray(cell) && cell[2] && inside(cell[2])) {
      var link = make("a", cell[1]);
      link.href = cell[2];
      link.rel = "noreferrer";
      target.append(link);
    } else {
      target.textContent = textOf(cell);
    }
  }

  function compare(column) {
    if (column.kind === "severity") {
      return function (a, b) { return severityRank(textOf(a)) - severityRank(textOf(b)); };
    }
    return function (a, b) {
      var one = valueOf(a), other = valueOf(b);
      if (typeof one === "number" && typeof other === "number") return one - other;
      return String(one) < String(other) ? -1 : String(one) > String(other) ? 1 : 0;
    };
  }

  function empty(cell) { var value = valueOf(cell); return value === null || value === ""; }

  // A table with its tools, made when it is first looked at
  function Grid(section) {
    var data = JSON.parse(section.querySelector("script").textContent);
    this.columns = data.columns;
    this.rows = data.rows;
    this.found = data.rows;
    this.sorted = -1;
    this.down = false;
    this.page = 0;
    this.chosen = {};
    this.severity = this.kind("severity");
    this.rules = this.kind("rules");
    this.texts = data.rows.map(function (row) { return row.map(textOf).join("\n").toLowerCase(); });
    this.build(section);
    this.search();
  }

  Grid.prototype.kind = function (kind) {
    return this.columns.findIndex(function (column) { return column.kind === kind; });
  };

  Grid.prototype.build = function (section) {
    var grid = this;
    var tools = make("div", undefined, "tools");
    this.input = make("input");
    this.input.type = "search";
    this.input.placeholder = "Filter: all of these words";
    this.input.setAttribute("aria-label", "Filter rows");
    this.input.addEventListener("input", function () { grid.search(); });
    tools.append(this.input);
    this.chips(tools);
    this.status = make("span", "", "dim");
    this.status.setAttribute("role", "status");
    tools.append(this.status);
    var box = make("div", undefined, "scroll");
    var table = make("table");
    var head = make("tr");
    this.heads = this.columns.map(function (column, place) {
      var cell = make("th", undefined, column.kind === "number" ? "right" : "");
      var button = make("button", column.name);
      button.type = "button";
      if (column.about) button.title = column.about;
      button.addEventListener("click", function () { grid.sort(place); });
      cell.scope = "col";
      cell.append(button);
      head.append(cell);
      return cell;
    });
    var top = make("thead");
    top.append(head);
    this.body = make("tbody");
    table.append(top, this.body);
    box.append(table);
    this.pager = make("div", undefined, "pager");
    this.before = make("button", "Previous");
    this.after = make("button", "Next");
    this.place = make("span", "", "dim");
    this.before.addEventListener("click", function () { grid.page -= 1; grid.draw(); });
    this.after.addEventListener("click", function () { grid.page += 1; grid.draw(); });
    this.pager.append(this.before, this.place, this.after);
    section.append(tools, box, this.pager);
  };

  // Buttons for the severities and for the rules that most rows have
  Grid.prototype.chips = function (tools) {
    var grid = this;
    [this.severity, this.rules].forEach(function (place) {
      if (place < 0) return;
      var counts = new Map();
      grid.rows.forEach(function (row) {
        new Set(textOf(row[place]).split(" ")).forEach(function (word) {
          counts.set(word, (counts.get(word) || 0) + 1);
        });
      });
      if (place === grid.rules) counts.delete("");
      var words = Array.from(counts.keys()).sort(function (a, b) {
        if (place === grid.severity) return severityRank(a) - severityRank(b);
        return counts.get(b) - counts.get(a) || (a < b ? -1 : 1);
      });
      if (words.length < 2) return;
      words.slice(0, CHIPS).forEach(function (word) {
        var chip = make("button", undefined, "chip");
        var name = place === grid.severity ? (SIGNS[word || "good"] + " " + (word || "clean")) : word;
        chip.textContent = name + " " + textOf(counts.get(word));
        chip.type = "button";
        chip.setAttribute("aria-pressed", "false");
        chip.addEventListener("click", function () {
          var key = place + " " + word;
          var on = !grid.chosen[key];
          if (on) grid.chosen[key] = [place, word]; else delete grid.chosen[key];
          chip.setAttribute("aria-pressed", String(on));
          grid.search();
        });
        tools.append(chip);
      });
    });
  };

  Grid.prototype.search = function () {
    var grid = this;
    var words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    var chosen = Object.values(this.chosen);
    var wanted = function (place, row) {
      var these = chosen.filter(function (one) { return one[0] === place; });
      if (!these.length) return true;
      var there = textOf(row[place]).split(" ");
      return these.some(function (one) { return there.includes(one[1]); });
    };
    this.found = this.rows.filter(function (row, number) {
      return words.every(function (word) { return grid.texts[number].includes(word); }) &&
        wanted(grid.severity, row) && wanted(grid.rules, row);
    });
    this.page = 0;
    this.order();
  };

  Grid.prototype.sort = function (place) {
    // Numbers are looked at from the largest on.
    this.down = this.sorted === place ? !this.down : this.columns[place].kind === "number";
    this.sorted = place;
    this.page = 0;
    this.order();
  };

  Grid.prototype.order = function () {
    var place = this.sorted, down = this.down;
    if (place >= 0) {
      var by = compare(this.columns[place]);
      var blank = this.columns[place].kind !== "severity";
      this.found = this.found.slice().sort(function (a, b) {
        if (blank && empty(a[place]) !== empty(b[place])) return empty(a[place]) ? 1 : -1;
        return down ? by(b[place], a[place]) : by(a[place], b[place]);
      });
      this.heads.forEach(function (head, number) {
        if (number === place) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
    }
    this.draw();
  };

  Grid.prototype.draw = function () {
    var columns = this.columns;
    var start = this.page * PAGE, end = Math.min(start + PAGE, this.found.length);
    var rows = this.found.slice(start, end).map(function (row) {
      var line = make("tr");
      row.forEach(function (cell, place) {
        var target = make("td", undefined, columns[place].kind === "number" ? "right" : "");
        fill(target, cell, columns[place]);
        if (target.textContent.length > 60) target.classList.add("wide");
        line.append(target);
      });
      return line;
    });
    this.body.replaceChildren.apply(this.body, rows);
    this.status.textContent = textOf(this.found.length) + " of " + textOf(this.rows.length);
    this.place.textContent = this.found.length ? textOf(start + 1) + " to " + textOf(end) : "no row";
    this.before.disabled = start === 0;
    this.after.disabled = end >= this.found.length;
    this.pager.hidden = this.found.length <= PAGE;
  };

  // The manual of a rule is in the report once; a finding that is opened shows a copy.
  document.querySelectorAll("details[data-rule]").forEach(function (details) {
    details.addEventListener("toggle", function () {
      var manual = document.getElementById("/rule/" + details.dataset.rule);
      if (!details.open || !manual || details.querySelector(".text")) return;
      details.append(manual.querySelector(".text").cloneNode(true));
    });
  });

  // Graphs
  var palette = document.getElementById("darker");
  var darker = palette ? JSON.parse(palette.textContent) : {};

  function dark() {
    var chosen = root.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  // A specification with the colours for dark in the place of those for light
  function darkened(value, key) {
    if (typeof value === "string") return Object.hasOwn(darker, value) ? darker[value] : value;
    if (value === null || typeof value !== "object" || key === "values") return value;
    if (Array.isArray(value)) return value.map(function (one) { return darkened(one); });
    return Object.fromEntries(Object.entries(value).map(function (pair) { return [pair[0], darkened(pair[1], pair[0])]; }));
  }

  function drawGraphs(view) {
    var box = view.querySelector(".graphs");
    if (!box || typeof vegaEmbed !== "function") return;
    var now = dark() ? "dark" : "light";
    if (box.dataset.drawn === now) return;
    box.dataset.drawn = now;
    box.querySelectorAll("figure").forEach(function (old) { old.remove(); });
    JSON.parse(box.querySelector("script").textContent).forEach(function (graph) {
      var figure = make("figure");
      var target = make("div");
      figure.setAttribute("aria-label", graph.title);
      figure.append(target);
      box.append(figure);
      var spec = now === "dark" ? darkened(graph.spec) : Object.assign({}, graph.spec);
      // As wide as there is room for, less the axis
      if (typeof spec.width === "number") spec.width = Math.max(240, Math.min(1120, box.clientWidth - 90));
      vegaEmbed(target, spec, { actions: false, ast: true, renderer: "svg" }).catch(function (error) {
        target.textContent = "This graph could not be drawn: " + error.message;
      });
    });
  }

  // Views
  function current() {
    var id = location.hash.slice(1);
    var view = id && document.getElementById(id);
    return view && view.classList.contains("view") ? view : overview;
  }

  function show() {
    var view = current();
    views.forEach(function (one) { one.classList.toggle("current", one === view); });
    document.querySelectorAll("nav a").forEach(function (link) {
      var here = link.getAttribute("href") === "#" + view.id || (link.getAttribute("href") === "#/pages" && view.classList.contains("page"));
      if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    });
    main.classList.toggle("all-in-print", view === overview);
    if (view.dataset.table && !view.grid) view.grid = new Grid(view);
    drawGraphs(view);
    window.scrollTo(0, 0);
  }

  // Dark or light
  var button = document.getElementById("theme");
  function label() { button.textContent = dark() ? "Light" : "Dark"; }
  button.hidden = false;
  button.addEventListener("click", function () {
    root.dataset.theme = dark() ? "light" : "dark";
    label();
    drawGraphs(current());
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { label(); drawGraphs(current()); });
  label();

  window.addEventListener("hashchange", show);
  show();
})();
