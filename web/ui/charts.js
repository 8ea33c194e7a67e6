// The one chart component: draws an option that Python made with the theme's colours, and the same figures as a table.
(() => {
  "use strict";
  const LIGHT = ["#1f6aa8", "#7fb2dc", "#c2610c", "#0b6b5d", "#a8468a", "#7a6a12", "#5c5c55"];
  const DARK = ["#6fb0ee", "#31648f", "#f0a35e", "#54c3ae", "#e28ac0", "#c9b458", "#a9a99f"];
  // colour is never alone: every second part has a pattern too, thin enough to leave the colour clear
  const stripe = (rotation, gap) => ({symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1.5, gap], rotation, color: "rgba(255,255,255,.55)"});
  const dots = {symbol: "circle", symbolSize: .45, dashArrayX: [[6, 6], [0, 6, 6, 0]], dashArrayY: [6, 0], color: "rgba(255,255,255,.7)"};
  const PLAIN = {symbol: "rect", color: "rgba(0,0,0,0)"};  // the word "none" makes the library fail
  const PATTERNS = [PLAIN, stripe(Math.PI / 4, 6), dots, PLAIN, stripe(-Math.PI / 4, 4), stripe(0, 3), PLAIN];
  const ROW = 22, LEVEL = 15;
  const shown = new Set();

  const css = name => getComputedStyle(document.body).getPropertyValue(name).trim();
  const isDark = () => document.body.classList.contains("dark");
  const figure = value => +value.toPrecision(3) === 0 ? "0" : (+value.toPrecision(3)).toLocaleString("en");

  const axis = (given, {soft, line, strong}) => ({
    axisLine: {lineStyle: {color: strong}}, axisTick: {show: false}, splitLine: {lineStyle: {color: line}},
    axisLabel: {color: soft, fontSize: 12}, nameTextStyle: {color: soft, fontSize: 12}, ...given,
  });
  const series = (one, {ink, palette, rowsFromTop}) => ({
    ...one,
    itemStyle: {color: palette[one.tone], decal: {...PATTERNS[one.tone]}},
    emphasis: {disabled: true},
    markLine: one.markLine && {
      symbol: "none", silent: true, animation: false, lineStyle: {color: ink, type: "dashed", width: 1, opacity: .7},
      data: one.markLine.data.map(each => ({...each, label: {
        formatter: "{b}", color: ink, fontSize: 12, position: rowsFromTop ? "start" : "end", rotate: 0, distance: 4 + LEVEL * each.level}})),
    },
  });
  // the legend wraps, and nothing in the library makes room for its rows
  const legendRows = (option, width) => {
    let rows = 1, used = 0;
    for (const one of option.series) {
      const needed = 40 + 7 * one.name.length;
      if (used && used + needed > width) { rows += 1; used = 0; }
      used += needed;
    }
    return rows;
  };
  const themed = (option, host) => {
    const width = host.clientWidth;
    const colours = {ink: css("--wb-ink"), soft: css("--wb-soft"), line: css("--wb-line"), strong: css("--wb-line-strong"),
                     palette: isDark() ? DARK : LIGHT, rowsFromTop: option.yAxis.inverse};
    const levels = Math.max(0, ...option.series.flatMap(one => (one.markLine?.data || []).map(each => each.level + 1)));
    const {description, unit, ...rest} = option;
    return {
      ...rest, animation: false, textStyle: {fontFamily: getComputedStyle(host).fontFamily, color: colours.ink},
      aria: {enabled: true, decal: {show: true}, label: {description}},
      grid: {left: 16, right: 36, bottom: 4, containLabel: true, top: ROW * legendRows(option, width) + LEVEL * levels + 12},
      legend: {top: 0, left: 0, icon: "roundRect", itemWidth: 16, itemHeight: 10, itemGap: 16, selectedMode: false,
               textStyle: {color: colours.soft, fontSize: 12.5}, data: option.series.map(one => one.name)},
      tooltip: {trigger: "axis", axisPointer: {type: "shadow"}, confine: true, backgroundColor: css("--wb-card"), borderColor: colours.line,
                textStyle: {color: colours.ink, fontSize: 12.5}, valueFormatter: value => `${figure(value)} ${unit}`},
      xAxis: axis(rest.xAxis, colours), yAxis: axis(rest.yAxis, colours), series: rest.series.map(one => series(one, colours)),
    };
  };

  const cell = (tag, text, scope) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (scope) made.scope = scope;
    return made;
  };
  const row = cells => { const made = document.createElement("tr"); made.append(...cells); return made; };
  const table = option => [
    row([cell("th", option.unit, "col"), ...option.series.map(one => cell("th", one.name, "col"))]),
    ...option.yAxis.data.map((name, n) =>
      row([cell("td", name), ...option.series.map(one => cell("td", figure(one.data[n])))])),
  ];

  wb.chart = (element, props, watch) => {
    let drawn = null;
    const draw = () => {
      const option = props.value, root = element.querySelector("[data-chart]");
      root.hidden = !option;
      if (!option) return;
      const host = root.querySelector(".chart");
      if (drawn && drawn.getDom() !== host) { drawn.dispose(); drawn = null; }  // the component was rendered anew
      if (!drawn) {
        drawn = echarts.init(host, null, {renderer: "svg"});
        new ResizeObserver(() => { if (host.clientWidth) { drawn.resize(); redraw(); } }).observe(host);
      }
      root.querySelector("table").replaceChildren(...table(option));
      redraw();
    };
    const redraw = () => {
      if (!drawn || !props.value) return;
      drawn.setOption(themed(props.value, drawn.getDom()), true);
      drawn.getDom().setAttribute("aria-label", props.value.description);
    };
    shown.add(redraw);
    watch("value", draw);
    draw();
  };
  new MutationObserver(() => shown.forEach(redraw => redraw())).observe(document.body, {attributeFilter: ["class"]});
})();
