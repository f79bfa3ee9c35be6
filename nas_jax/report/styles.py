"""The look of the page: one style sheet, light and dark, phone and desktop.

Colours are custom properties, so that drawings and charts follow the colour scheme.
Kernel sizes are ordered and get an ordered palette; networks get unrelated hues.
"""

_LIGHT = """
 --page:#f5f4f0; --card:#fffefc; --ink:#23272e; --muted:#626973; --line:#dfdcd4;
 --grid:#e9e6df; --band:#f4f2ec; --note:#fbf3dc; --noteline:#d9b75a;
 --k3:#53a69a; --k5:#3f74b5; --k7:#7a4a9e; --kx:#a8566f; --fixed:#a7abb2;
 --searched:#c4512d; --baseline:#4d6179; --cheapest:#9a7d0a; --random:#8b6fae;
 --other:#6d7780;
"""
_DARK = """
 --page:#131518; --card:#1b1e23; --ink:#e7e5e0; --muted:#a0a6ae; --line:#31363d;
 --grid:#2a2e35; --band:#21252b; --note:#2b2717; --noteline:#8a7330;
 --k3:#5fb8aa; --k5:#5b92d6; --k7:#a878cf; --kx:#cf7f96; --fixed:#767c85;
 --searched:#ef7d56; --baseline:#94abc6; --cheapest:#d1b13c; --random:#b69bd8;
 --other:#98a2ab;
"""


def palette(selector: str) -> str:
    """The colours, as rules for `selector`; on paper always the light ones."""
    return (
        f"{selector}{{color-scheme:light dark;{_LIGHT}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{{selector}{{{_DARK}}}}}\n"
    )


CSS = (
    palette(":root")
    + """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
 font:16px/1.55 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
 "Liberation Sans",Arial,sans-serif;overflow-wrap:break-word}
main{max-width:67rem;margin:0 auto;padding:2.75rem 1.5rem 4rem}
header{max-width:54rem;margin-bottom:2.25rem}
.run{margin:0 0 .6rem;color:var(--muted);font-size:.875rem}
h1{margin:0 0 .8rem;font-size:clamp(1.4rem,1.1rem + 1.4vw,1.95rem);line-height:1.25;
 font-weight:650;letter-spacing:-.012em;text-wrap:balance}
h1 b{color:var(--searched);font-weight:inherit;white-space:nowrap}
h2{margin:0 0 .3rem;font-size:1.2rem;line-height:1.3;font-weight:650}
h3{margin:1.9rem 0 .5rem;font-size:1rem;font-weight:650}
p{margin:0 0 .8rem}
.lead{margin:0;color:var(--muted);font-size:1.03rem}
.about{color:var(--muted);max-width:46rem;font-size:.94rem}
.note:has(+section){margin-bottom:1.4rem}
.note{margin:0 0 .6rem;padding:.55rem .85rem;font-size:.92rem;background:var(--note);
 border-left:3px solid var(--noteline);border-radius:0 6px 6px 0}
section{margin:0 0 1.4rem;padding:1.5rem 1.6rem 1.6rem;background:var(--card);
 border:1px solid var(--line);border-radius:12px}
figure{margin:0;min-width:0}
figcaption{font-size:.9rem;font-weight:600;margin:0 0 .35rem}
figcaption small{font-size:.8rem;font-weight:400;color:var(--muted)}
svg{display:block;width:100%;height:auto}
svg text{font-family:inherit!important;font-variant-numeric:tabular-nums}
.pair,.charts,.panels{display:grid;gap:1.5rem 2.25rem}
.pair{grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr))}
.pair figure{max-width:34rem}
.charts{grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr))}
.charts figure{max-width:36rem}
.panels{grid-template-columns:repeat(auto-fill,minmax(min(100%,13.5rem),1fr));
 gap:1.1rem 1.6rem}
.wide{max-width:32rem;margin-top:.6rem}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.15rem;margin:.7rem 0 1.1rem;padding:0;
 list-style:none;font-size:.86rem;color:var(--muted)}
.legend li{display:flex;align-items:center;gap:.45rem}
.legend svg{width:auto;height:1rem;flex:none}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums;
 font-size:.93rem;margin-top:.9rem}
th,td{padding:.5rem .7rem;text-align:right;vertical-align:baseline;
 border-bottom:1px solid var(--line)}
thead th{color:var(--muted);font-weight:500;font-size:.82rem;line-height:1.3;
 vertical-align:bottom}
tr>:first-child{text-align:left;padding-left:0}
tr>:last-child{padding-right:0}
tbody th{font-weight:600;white-space:nowrap}
tbody th svg{display:inline-block;width:auto;height:.8rem;margin-right:.5rem;
 vertical-align:-.06rem}
td small{color:var(--muted);white-space:nowrap;font-size:.83rem;display:block}
.words{text-align:left}
tr.first>*{font-weight:600}
tr.first small{font-weight:400}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.4rem 1.4rem;
 margin:.9rem 0 0;font-size:.93rem}
dt{color:var(--muted)}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
.bar{display:flex;align-items:center;gap:.7rem;margin-bottom:.15rem}
.bar span{width:6.5rem;flex:none}
.bar i{display:block;height:.55rem;min-width:2px;border-radius:2px;
 background:var(--baseline)}
.bar div{flex:1;min-width:0}
.bar .least{width:8.5rem;text-align:right;font-variant-numeric:tabular-nums}
.bar.total .least{width:auto}
.bar{font-size:.93rem}
.bar.total{border-top:1px solid var(--line);font-weight:600;padding-top:.15rem}
.shares{display:inline-block;width:7rem;height:.8rem;vertical-align:-.05rem;
 margin-right:.5rem}
pre,code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",
 monospace;font-size:.84rem}
pre{margin:.35rem 0 0;padding:.75rem .9rem;background:var(--band);border-radius:7px;
 white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.5}
summary{cursor:pointer;color:var(--muted);font-size:.93rem}
details{margin-top:1rem}
footer{color:var(--muted);font-size:.85rem;text-align:center}
@media (max-width:44rem){
 main{padding:1.5rem .75rem 2.5rem}
 header{padding:0 .3rem;margin-bottom:1.5rem}
 section{padding:1.1rem 1rem 1.25rem;border-radius:10px}
 .panels{grid-template-columns:repeat(2,minmax(0,1fr));gap:.9rem .9rem}
 .panels svg{font-size:14px;overflow:visible}
 figcaption small{display:block}
 thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
 table,tbody,tr,td,tbody th{display:block}
 tr{padding:.75rem 0;border-bottom:1px solid var(--line)}
 tr:last-child{border:0;padding-bottom:0}
 th,td{padding:.1rem 0;border:0}
 td{display:flex;justify-content:space-between;gap:1rem}
 td::before{content:attr(data-label);color:var(--muted);font-weight:400}
 td small{display:inline;margin-left:.5rem}
 dl{grid-template-columns:1fr;gap:0}
 dd{margin-bottom:.6rem}
}
@page{margin:14mm}
@media print{
 *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
 body{background:none;font-size:10pt}
 main{max-width:none;padding:0}
 section{border:0;padding:0}
 .charts{grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem 1.5rem}
 h2,h3,figcaption,thead,.about,.legend{break-after:avoid}
 figure,tr,pre,.note,.about,.bar,.legend{break-inside:avoid}
}
"""
)

NETWORK_COLOURS = ("searched", "baseline", "cheapest", "random")
RUN_COLOURS = (*NETWORK_COLOURS, "other")
"""The same hues, for runs side by side."""


def kernel_colour(kernel: int) -> str:
    """Colour of a kernel size; 0 (no kernel) is grey."""
    if kernel == 0:
        return "var(--fixed)"
    return f"var(--k{kernel})" if kernel in (3, 5, 7) else "var(--kx)"


def kind(name: str) -> str:
    """Networks of a kind are numbered and look alike: `random_2` is a `random`."""
    return name.rstrip("0123456789").rstrip("_")


def run_look(place: int) -> tuple[str, bool]:
    """Colour of a run among several, and whether its marks are hollow."""
    rounds, hue = divmod(place, len(RUN_COLOURS))
    return RUN_COLOURS[hue], rounds % 2 == 1


def network_colour(name: str) -> str:
    return f"var(--{kind(name)})" if kind(name) in NETWORK_COLOURS else "var(--other)"
