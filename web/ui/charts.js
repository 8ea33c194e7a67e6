// The one chart component: draws an option that Python made with the theme's colours, and the same figures as a table.
// The library is a megabyte: a page that does not name it in its head gets it when its first chart appears.
(() => {
  "use strict";
  const LIGHT = ["#1f6aa8", "#7fb2dc", "#c2610c", "#0b6b5d", "#a8468a", "#7a6a12", "#5c5c55"];
  const DARK = ["#6fb0ee", "#31648f", "#f0a35e", "#54c3ae", "#e28ac0", "#c9b458", "#a9a99f"];
  const HEAT_LIGHT = ["#eef3f7", "#7fb2dc", "#1f6aa8", "#0a2c49"], HEAT_DARK = ["#22272c", "#31648f", "#6fb0ee", "#e6f2ff"];
  // colour is never alone: every second part has a pattern too, thin enough to leave the colour clear
  const stripe = (rotation, gap) => ({symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1.5, gap], rotation, color: "rgba(255,255,255,.55)"});
  const dots = {symbol: "circle", symbolSize: .45, dashArrayX: [[6, 6], [0, 6, 6, 0]], dashArrayY: [6, 0], color: "rgba(255,255,255,.7)"};
  const PLAIN = {symbol: "rect", color: "rgba(0,0,0,0)"};  // the word "none" makes the library fail
  const PATTERNS = [PLAIN, stripe(Math.PI / 4, 6), dots, PLAIN, stripe(-Math.PI / 4, 4), stripe(0, 3), PLAIN];
  const SYMBOLS = ["circle", "rect", "triangle", "diamond", "arrow", "roundRect", "pin"];  // and every curve a sign
  const ROW = 22, WIDE_ROW = 30, LEVEL = 15, LEAST_DOT = 10, MORE_DOT = 14;
  const shown = new Set();

  const css = name => getComputedStyle(document.body).getPropertyValue(name).trim();
  const isDark = () => document.body.classList.contains("dark");
  const figure = value => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return value;
    return value.toLocaleString("en", Number.isInteger(value) ? {} : {maximumSignificantDigits: 3});
  };
  const tone = (one, list) => list[one.tone % list.length];

  const axis = (given, {soft, line, strong}) => ({
    axisLine: {lineStyle: {color: strong}}, axisTick: {show: false}, splitLine: {lineStyle: {color: line}},
    axisLabel: {color: soft, fontSize: 12, hideOverlap: true}, nameTextStyle: {color: soft, fontSize: 12}, ...given,
  });
  const below = given => ({...given, nameLocation: "middle", nameGap: 30});  // its name under it, not cut off at its end
  const marks = (one, {ink, rowsFromTop}) => one.markLine && {
    symbol: "none", silent: true, animation: false, lineStyle: {color: ink, type: "dashed", width: 1, opacity: .7},
    data: one.markLine.data.map(each => ({...each, label: {
      formatter: "{b}", color: ink, fontSize: 12, position: each.yAxis !== undefined ? "insideEndTop" : rowsFromTop ? "start" : "end", rotate: 0, distance: 4 + LEVEL * each.level}})),
  };
  // A name stands right of its dot, else left, above or below: inside, and on no other name.
  const placing = width => {
    let taken = [];
    const isFree = box => box.x >= 0 && box.x + box.width <= width && !taken.some(one =>
      box.x < one.x + one.width && one.x < box.x + box.width && box.y < one.y + one.height && one.y < box.y + box.height);
    return ({rect, labelRect: {width, height}, seriesIndex, dataIndex}) => {
      if (!seriesIndex && !dataIndex) taken = [];
      const middle = rect.y + rect.height / 2 - height / 2, centre = rect.x + rect.width / 2 - width / 2;
      const boxes = [[rect.x + rect.width + 5, middle], [rect.x - width - 5, middle], [centre, rect.y - height - 3], [centre, rect.y + rect.height + 3]]
        .map(([x, y]) => ({x, y, width, height}));
      const box = boxes.find(isFree) ?? boxes[0];
      taken.push(box);
      return {x: box.x, y: box.y, align: "left", verticalAlign: "top"};
    };
  };

  const SERIES = {
    bars: (one, colours) => ({...one, itemStyle: {color: tone(one, colours.palette), decal: {...tone(one, PATTERNS)}},
      emphasis: {disabled: true}, markLine: marks(one, colours)}),
    curves: ({dashed, filled, stepped, faint, signed = true, dash, ...one}, colours) => ({
      ...one, connectNulls: true, step: stepped ? "middle" : false, symbol: tone(one, SYMBOLS), symbolSize: filled || !signed ? 0 : 8, showAllSymbol: true, silent: !!faint,
      lineStyle: {color: tone(one, colours.palette), width: dashed || faint ? 1.5 : 2, type: dash || (dashed ? "dashed" : "solid"), opacity: faint ? .35 : 1},
      itemStyle: {color: tone(one, colours.palette)}, areaStyle: filled ? {color: tone(one, colours.palette), opacity: .25, decal: PLAIN} : undefined,
      emphasis: {disabled: true}, markLine: marks(one, colours)}),
    scatter: ({hollow, ...one}, colours) => ({
      ...one, symbol: hollow ? "diamond" : "circle", symbolSize: (_, {data}) => LEAST_DOT + MORE_DOT * Math.sqrt(data.share),
      itemStyle: {color: hollow ? colours.card : tone(one, colours.palette), borderColor: tone(one, colours.palette), borderWidth: 2, opacity: hollow ? 1 : .85},
      label: {show: true, formatter: at => at.data.name, color: colours.ink, fontSize: 12.5}, labelLayout: colours.placing,
      emphasis: {disabled: true}}),
    heat: (one, colours) => ({...one, itemStyle: {borderColor: colours.card, borderWidth: 1}, emphasis: {itemStyle: {borderColor: colours.ink, borderWidth: 1}}}),
  };

  // A tooltip is made of text alone: names in it are a stranger's words.
  const told = (...lines) => {
    const box = document.createElement("div");
    for (const line of lines) box.append(Object.assign(document.createElement("div"), {textContent: line}));
    return box;
  };
  const measured = (value, unit) => `${figure(value)}${unit ? ` ${unit}` : ""}`;
  const TOOLTIPS = {
    bars: option => ({trigger: "axis", axisPointer: {type: "shadow"}, valueFormatter: value => measured(value, option.unit)}),
    curves: option => ({trigger: "axis", valueFormatter: value => measured(value, option.unit)}),
    scatter: option => ({trigger: "item", formatter: ({data, seriesName}) => told(data.name,
      ...data.value.flatMap((value, n) => value === null ? [] : [`${option.names[n]}: ${measured(value, option.units[n])}`]), seriesName)}),
    heat: option => ({trigger: "item", formatter: ({data: [column, row, value]}) => told(
      `${option.yAxis.data[row]}, ${option.xAxis.name} ${option.xAxis.data[column]}`, `${option.name}: ${figure(value)}`)}),
  };

  // the legend wraps, and nothing in the library makes room for its rows
  const isPlain = ({kind, series}) => kind === "curves" && series.length === 1 && series[0].signed === false;  // its title says it
  const legendRows = (option, width) => {
    if (isPlain(option)) return 0;
    let rows = 1, used = 0;
    for (const one of option.series) {
      const needed = 56 + 7 * one.name.length;
      if (used && used + needed > width) { rows += 1; used = 0; }
      used += needed;
    }
    return rows;
  };
  const themed = ({kind = "bars", description, unit, units, names, name, most, least = 0, table, ...rest}, host) => {
    const option = {...rest, kind, unit, units, names, name}, width = host.clientWidth, isBars = kind === "bars", isHeat = kind === "heat";
    const colours = {ink: css("--wb-ink"), soft: css("--wb-soft"), line: css("--wb-line"), strong: css("--wb-line-strong"), card: css("--wb-bg"),
                     palette: isDark() ? DARK : LIGHT, rowsFromTop: option.yAxis.inverse,
                     placing: placing(width)};
    const levels = Math.max(0, ...option.series.flatMap(one => (one.markLine?.data || []).filter(each => each.yAxis === undefined).map(each => each.level + 1)));
    const top = isHeat ? 40 : isBars ? ROW * legendRows(option, width) + 12 : WIDE_ROW * legendRows(option, width) + 30;
    return {
      animation: false, textStyle: {fontFamily: getComputedStyle(host).fontFamily, color: colours.ink},
      aria: {enabled: true, decal: {show: isBars}, label: {description}},
      grid: {left: isBars ? 16 : 12, right: isBars ? 36 : 20, bottom: isBars ? 4 : 32, containLabel: true, top: top + LEVEL * levels},
      legend: {show: !isHeat && !isPlain(option), top: 0, left: 0, itemWidth: isBars ? 16 : 24, itemHeight: 10, itemGap: 16, selectedMode: false, ...(isBars ? {icon: "roundRect"} : {}),
               textStyle: {color: colours.soft, fontSize: 12.5}, data: option.series.map(one => one.name)},
      title: isBars || isHeat ? undefined : {text: option.yAxis.name, left: 0, top: top - 24, padding: 0, textStyle: {color: colours.soft, fontSize: 12, fontWeight: "normal"}},
      tooltip: {confine: true, backgroundColor: css("--wb-card"), borderColor: colours.line, textStyle: {color: colours.ink, fontSize: 12.5}, ...TOOLTIPS[kind](option)},
      visualMap: isHeat ? {type: "continuous", min: least, max: most, orient: "horizontal", top: 0, left: 0, itemWidth: 10, itemHeight: 120, padding: 0,
        text: [`${figure(most)}`, `${name}: ${figure(least)}`], textStyle: {color: colours.soft, fontSize: 12.5}, inRange: {color: isDark() ? HEAT_DARK : HEAT_LIGHT}} : undefined,
      xAxis: axis(isBars ? option.xAxis : below(option.xAxis), colours), yAxis: axis(isBars ? option.yAxis : isHeat ? {...option.yAxis, axisLabel: {color: colours.soft, fontSize: 12, interval: 0}} : {...option.yAxis, name: ""}, colours),
      series: option.series.map(one => SERIES[kind](one, colours)),
    };
  };

  const cell = (tag, text, scope) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (scope) made.scope = scope;
    return made;
  };
  const row = cells => { const made = document.createElement("tr"); made.append(...cells); return made; };
  const table = ({head, rows}) => [row(head.map(text => cell("th", text, "col"))), ...rows.map(each => row(each.map(value => cell("td", figure(value)))))];

  let coming = null;
  const library = () => coming ??= new Promise((done, failed) => {
    if (window.echarts) { done(); return; }
    const address = document.querySelector("meta[name=wb-echarts]").content;
    const script = Object.assign(document.createElement("script"), {src: address, onload: () => done(), onerror: () => { coming = null; failed(new Error("The charts could not be loaded.")); }});
    document.head.append(script);
  });

  // Draws what option() gives into the place that find() finds, as often as draw is called.
  const drawer = wb.drawer = (find, option) => {
    let drawn = null;
    const redraw = () => {
      if (!drawn) return;
      const host = drawn.getDom();
      if (!host.isConnected) { drawn.dispose(); drawn = null; shown.delete(redraw); return; }
      if (!option() || !host.clientWidth) return;
      drawn.setOption(themed(option(), host), true);
      host.setAttribute("aria-label", option().description);
    };
    return async () => {
      const root = find();
      root.hidden = !option();
      if (!option()) return;
      root.querySelector("table").replaceChildren(...table(option().table));
      await library();
      const host = find().querySelector(".chart");
      if (drawn && drawn.getDom() !== host) { drawn.dispose(); drawn = null; }  // the component was rendered anew
      if (!drawn && host.isConnected) {
        drawn = echarts.init(host, null, {renderer: "svg"});
        new ResizeObserver(() => { if (drawn && host.clientWidth) { drawn.resize(); redraw(); } }).observe(host);
      }
      shown.add(redraw);
      redraw();
    };
  };
  wb.chart = (element, props, watch) => {
    const draw = drawer(() => element.querySelector("[data-chart]"), () => props.value);
    watch("value", draw);
    draw();
  };
  // The charts of a fragment that has just come.
  wb.drawCharts = root => {
    for (const place of root.querySelectorAll("[data-drawn]")) {
      const option = JSON.parse(place.dataset.drawn);
      place.removeAttribute("data-drawn");
      drawer(() => place, () => option)();
    }
  };
  addEventListener("DOMContentLoaded", () =>
    new MutationObserver(() => shown.forEach(redraw => redraw())).observe(document.body, {attributeFilter: ["class"]}));
})();
