// What the page says, in two languages, and how it writes numbers and times.
//
// A metric has a word here only if it is one that every farm has; others are
// shown by their own names.

const WORDS = {
  en: {
    other: "Français", otherLabel: "Afficher la page en français",
    metric: "Metric", size: "Window", all: "All",
    lying: "Lying", standing: "Standing", total: "Total",
    "1m": "1 min", "5m": "5 min", "15m": "15 min", "1h": "1 h", "1d": "Day",
    connecting: "Connecting…", live: "Live", lost: "Connection lost", waiting: "Waiting for you",
    lostNotice: (time) => `No answer from the server. What you see is as of ${time}; the page keeps trying.`,
    neverNotice: "No answer from the server yet; the page keeps trying.",
    refusedNotice: (detail) => `The server answered with an error (${detail}). The page keeps trying.`,
    emptyTitle: "No picture yet",
    emptyText: "As soon as a camera sends its first picture, it appears here.",
    source: (number) => `Source ${number}`,
    receiving: "receiving", silent: (time) => `silent since ${time}`,
    perPicture: (window) => `Animals per picture, ${window}`,
    status: { open: "so far", final: "final", corrected: "corrected" },
    pictures: (seen, expected) => `${seen} of ${expected} pictures`,
    coverage: "Coverage of this window", watermark: "Complete up to", accepted: "Pictures counted",
    ago: (age) => `${age} ago`,
    noData: "no data",
    middle: "middle half", range: "range",
    table: "As a table", tableCaption: (name) => `${name}, the newest windows first`,
    columns: { time: "Window", metric: "Metric", mean: "Mean", median: "Median", range: "Range", std: "Std. dev.", pictures: "Pictures", status: "Status" },
    chart: (name, size) => `${name}: mean animals per picture, ${size}. The arrow keys go from window to window.`,
    keyFinal: "final", keyOpen: "still open", keyCorrected: "corrected by a late picture", keyGap: "no data", keyCoverage: "coverage",
    herdPage: "Herd", herdTitle: "All sources together", lyingShare: "Lying share", synchrony: "Synchrony",
    herdWindow: (window) => `Animals at once, ${window}`, missing: (names) => `Not counted, for want of pictures: ${names}.`,
    herdText: "The sources’ means, added up. Synchrony, in short windows: the share of the animals that do what most of them do, lie or stand.",
    herdChart: "Lying and standing animals of all sources together",
    herdColumns: { time: "Window", lying: "Lying", standing: "Standing", share: "Lying share", missing: "Not counted", status: "Status" },
    rhythmText: (day, from) => `Lying animals of a hundred, hour by hour: ${day}, and the days from ${from} to the day before it, with their standard deviation and extremes.`,
    usual: "usually", noRhythm: "No hour with enough pictures yet.",
    rhythmTitle: (name) => `${name}: lying animals of a hundred, by hour`,
    rhythmColumns: { hour: "Hour", day: "That day", usual: "Usually", std: "Std. dev.", deviation: "Off (in σ)", animals: "Animals", days: "Days" },
    statisticsPage: "Statistics", picturesPage: "Pictures", headcounts: "Headcounts", pricesPage: "Prices",
    sourceLabel: "Source", allSources: "All sources", fromLabel: "From", toLabel: "to", nowLabel: "Back to now",
    nothing: "No window on these days.", clipped: (count) => `Only the newest ${count} windows; a larger window shows more.`,
    origin: "From", origins: { final: "files -1.csv", final_2: "files -2.csv", camera: "the camera" },
    more: (count) => `Only the newest ${count}; choose days to see others.`, noRecord: (n) => `There is no record ${n}.`,
    newer: "Newer", older: "Older", show: "Show", close: "Close",
    place: (first, last, total) => `${first} to ${last}${total === null ? "" : ` of ${total}`}`,
    nthLabel: "Record", ofRecords: (total) => `of ${total}, the oldest is 1`,
    noPictures: "No picture is kept here. Cameras keep one every snapshot_every.",
    noPicture: "No picture is kept of this record.", later: "The picture did not come; it is asked for again.", nothingFound: "nothing found",
    kinds: { snapshot: "", foreign: "record of another program", unreadable: "cannot be read" },
    enlarge: (what) => `${what}: show large`, model: (name) => `Model ${name}`,
    headcountsOf: (source, origin) => `Headcounts of ${source}, ${origin}`,
    noHeadcounts: "No headcount here.", rowsRefused: (count) => `Rows of files that could not be read: ${count}.`,
    headcountsChart: "Animals that lie and stand: the median of each quarter of an hour",
    ratioChart: "Standing animals of a hundred",
    headcountColumns: { time: "Quarter", lying: "Lying", standing: "Standing", ratio: "Standing %", rows: "Rows" },
    bringTitle: "Bring a file", bringText: "CSV with the columns date, Effectif couche, Effectif debout; its name ends in -1.csv or -2.csv.",
    fileLabel: "File", bring: "Import", files: "Imported files", notWhole: "interrupted: import it again",
    fileColumns: { name: "File", source: "Source", table: "Table", rows: "Rows", new: "New", refused: "Refused", at: "Imported" },
    nowhere: (name) => `${name} ends in neither -1.csv nor -2.csv: nothing was done.`,
    known: (name) => `${name} was imported before: nothing was done.`,
    became: (name, rows, fresh, refused) => `${name}: ${rows} rows, ${fresh} of them new, ${refused} refused.`,
    refusedRow: (line, reason, found) => `Line ${line}: ${reason} (${found})`,
    noPrices: "No price was fetched in this time. animov import web URL reads a page.",
    pricesCaption: "What web pages asked, the newest visit first",
    priceColumns: { product: "Product", price: "Price", variation: "Variation", page: "Page", taken: "Seen" },
    tokenTitle: "Who are you?", tokenText: "Log in with name and password, or with a token alone. You stay logged in until you close this tab.",
    nameLabel: "Name (not with a token)", tokenLabel: "Password or token", tokenSend: "Open", leave: "Log out",
    tokenWrong: "That is not right, or no longer.", tokenAway: "The server does not answer; try again.",
    tokenTooOften: (minutes) => `Too many tries failed. Try again in ${minutes} min.`,
    tokenNone: "Nobody has a name here: leave it empty, and use the server’s token.",
    version: (version) => `animov ${version}`,
  },
  fr: {
    other: "English", otherLabel: "Show the page in English",
    metric: "Mesure", size: "Fenêtre", all: "Toutes",
    lying: "Couchés", standing: "Debout", total: "Total",
    "1m": "1 min", "5m": "5 min", "15m": "15 min", "1h": "1 h", "1d": "Jour",
    connecting: "Connexion…", live: "En direct", lost: "Connexion perdue", waiting: "En attente de vous",
    lostNotice: (time) => `Le serveur ne répond pas. L’affichage date de ${time} ; la page continue d’essayer.`,
    neverNotice: "Le serveur ne répond pas encore ; la page continue d’essayer.",
    refusedNotice: (detail) => `Le serveur a répondu par une erreur (${detail}). La page continue d’essayer.`,
    emptyTitle: "Aucune image pour l’instant",
    emptyText: "Dès qu’une caméra envoie sa première image, elle apparaît ici.",
    source: (number) => `Source ${number}`,
    receiving: "en réception", silent: (time) => `muette depuis ${time}`,
    perPicture: (window) => `Animaux par image, ${window}`,
    status: { open: "en cours", final: "finale", corrected: "corrigée" },
    pictures: (seen, expected) => `${seen} images sur ${expected}`,
    coverage: "Couverture de la fenêtre", watermark: "Complet jusqu’à", accepted: "Images comptées",
    ago: (age) => `il y a ${age}`,
    noData: "aucune donnée",
    middle: "moitié centrale", range: "étendue",
    table: "En tableau", tableCaption: (name) => `${name}, les fenêtres les plus récentes d’abord`,
    columns: { time: "Fenêtre", metric: "Mesure", mean: "Moyenne", median: "Médiane", range: "Étendue", std: "Écart-type", pictures: "Images", status: "État" },
    chart: (name, size) => `${name} : nombre moyen d’animaux par image, ${size}. Les flèches vont de fenêtre en fenêtre.`,
    keyFinal: "finale", keyOpen: "encore ouverte", keyCorrected: "corrigée par une image tardive", keyGap: "aucune donnée", keyCoverage: "couverture",
    herdPage: "Troupeau", herdTitle: "Toutes les sources ensemble", lyingShare: "Part couchée", synchrony: "Synchronie",
    herdWindow: (window) => `Animaux à la fois, ${window}`, missing: (names) => `Sans images, donc non comptées : ${names}.`,
    herdText: "Somme des moyennes des sources. La synchronie, dans les fenêtres courtes : la part des animaux qui font ce que fait la majorité, couchée ou debout.",
    herdChart: "Animaux couchés et debout de toutes les sources ensemble",
    herdColumns: { time: "Fenêtre", lying: "Couchés", standing: "Debout", share: "Part couchée", missing: "Non comptées", status: "État" },
    rhythmText: (day, from) => `Animaux couchés sur cent, heure par heure : ${day}, et les jours depuis ${from} jusqu’à la veille, avec leur écart-type et leurs extrêmes.`,
    usual: "d’habitude", noRhythm: "Aucune heure n’a encore assez d’images.",
    rhythmTitle: (name) => `${name} : animaux couchés sur cent, par heure`,
    rhythmColumns: { hour: "Heure", day: "Ce jour", usual: "D’habitude", std: "Écart-type", deviation: "Écart (en σ)", animals: "Animaux", days: "Jours" },
    statisticsPage: "Statistiques", picturesPage: "Images", headcounts: "Effectifs", pricesPage: "Prix",
    sourceLabel: "Source", allSources: "Toutes les sources", fromLabel: "Du", toLabel: "au", nowLabel: "Revenir à maintenant",
    nothing: "Aucune fenêtre ces jours-là.", clipped: (count) => `Seulement les ${count} fenêtres les plus récentes ; une fenêtre plus longue en montre plus.`,
    origin: "D’après", origins: { final: "fichiers -1.csv", final_2: "fichiers -2.csv", camera: "la caméra" },
    more: (count) => `Seulement les ${count} plus récents ; choisissez des jours pour en voir d’autres.`, noRecord: (n) => `Il n’y a pas d’enregistrement ${n}.`,
    newer: "Plus récentes", older: "Plus anciennes", show: "Afficher", close: "Fermer",
    place: (first, last, total) => `${first} à ${last}${total === null ? "" : ` sur ${total}`}`,
    nthLabel: "Enregistrement", ofRecords: (total) => `sur ${total}, le plus ancien est le n° 1`,
    noPictures: "Aucune image n’est gardée ici. Les caméras en gardent une tous les snapshot_every.",
    noPicture: "Aucune image de cet enregistrement n’est gardée.", later: "L’image n’est pas venue ; elle est redemandée.", nothingFound: "rien trouvé",
    kinds: { snapshot: "", foreign: "enregistrement d’un autre programme", unreadable: "illisible" },
    enlarge: (what) => `${what} : agrandir`, model: (name) => `Modèle ${name}`,
    headcountsOf: (source, origin) => `Effectifs de la ${source.toLowerCase()}, ${origin}`,
    noHeadcounts: "Aucun effectif ici.", rowsRefused: (count) => `Lignes de fichiers qui n’ont pas pu être lues : ${count}.`,
    headcountsChart: "Animaux couchés et debout : la médiane de chaque quart d’heure",
    ratioChart: "Animaux debout sur cent",
    headcountColumns: { time: "Quart d’heure", lying: "Couchés", standing: "Debout", ratio: "Debout %", rows: "Lignes" },
    bringTitle: "Apporter un fichier", bringText: "CSV avec les colonnes date, Effectif couche, Effectif debout ; son nom finit par -1.csv ou -2.csv.",
    fileLabel: "Fichier", bring: "Importer", files: "Fichiers importés", notWhole: "interrompu : importez-le à nouveau",
    fileColumns: { name: "Fichier", source: "Source", table: "Table", rows: "Lignes", new: "Nouvelles", refused: "Refusées", at: "Importé" },
    nowhere: (name) => `${name} ne finit ni par -1.csv ni par -2.csv : rien n’a été fait.`,
    known: (name) => `${name} a déjà été importé : rien n’a été fait.`,
    became: (name, rows, fresh, refused) => `${name} : ${rows} lignes, dont ${fresh} nouvelles et ${refused} refusées.`,
    refusedRow: (line, reason, found) => `Ligne ${line} : ${reason} (${found})`,
    noPrices: "Aucun prix n’a été relevé sur cette période. animov import web URL lit une page.",
    pricesCaption: "Prix affichés par des pages web, la visite la plus récente d’abord",
    priceColumns: { product: "Produit", price: "Prix", variation: "Variation", page: "Page", taken: "Vu" },
    tokenTitle: "Qui êtes-vous ?", tokenText: "Connectez-vous avec nom et mot de passe, ou avec un jeton seul. La connexion dure jusqu’à la fermeture de cet onglet.",
    nameLabel: "Nom (pas avec un jeton)", tokenLabel: "Mot de passe ou jeton", tokenSend: "Ouvrir", leave: "Se déconnecter",
    tokenWrong: "Ce n’est pas juste, ou ne l’est plus.", tokenAway: "Le serveur ne répond pas ; réessayez.",
    tokenTooOften: (minutes) => `Trop d’essais ont échoué. Réessayez dans ${minutes} min.`,
    tokenNone: "Personne n’a de nom ici : laissez-le vide et donnez le jeton du serveur.",
    version: (version) => `animov ${version}`,
  },
};

export const LANGUAGES = Object.keys(WORDS);

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;

/** Words and formats of one language, for people in one time zone. */
export class Voice {
  constructor(language, zone) {
    this.language = language;
    this.words = WORDS[language];
    this.zone = zone;
    const times = (options) => new Intl.DateTimeFormat(language, { ...options, timeZone: zone });
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    this.formats = {
      minute: times(clock),
      second: times({ ...clock, second: "2-digit" }),
      day: times({ day: "numeric", month: "short" }),
      weekday: times({ weekday: "short", day: "numeric" }),
      full: times({ ...clock, weekday: "short", day: "numeric", month: "short" }),
      dated: times({ ...clock, day: "numeric", month: "short", year: "numeric" }),
      parts: new Intl.DateTimeFormat("en-US", {
        timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric",
        hour: "numeric", minute: "numeric", second: "numeric",
      }),
      one: new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
      two: new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 }),
      whole: new Intl.NumberFormat(language, { maximumFractionDigits: 2 }),
      percent: new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 }),
    };
  }

  metric(name) {
    return typeof this.words[name] === "string" && ["lying", "standing", "total"].includes(name)
      ? this.words[name] : name;
  }

  time(ms, format) {
    return this.formats[format].format(ms);
  }

  number(value, format) {
    return this.formats[format].format(value);
  }

  /** A moment for a sentence: only as much of it as is needed near `now`. */
  moment(ms, now) {
    return this.time(ms, Math.abs(now - ms) < DAY / 2 ? "minute" : "full");
  }

  /** A window, as people call it. */
  window(item, size) {
    if (size === "1d") return this.time(item.start, "day");
    return `${this.time(item.start, "minute")}–${this.time(item.end, "minute")}`;
  }

  /** A window for a sentence: with its day, unless that is near `now`. */
  dated(item, size, now) {
    const near = size === "1d" || Math.abs(now - item.end) < DAY / 2;
    return near ? this.window(item, size) : `${this.time(item.start, "weekday")}, ${this.window(item, size)}`;
  }

  /** A length of time, in its largest unit. */
  age(ms) {
    const unit = (value, name) => new Intl.NumberFormat(this.language, {
      style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: 0,
    }).format(Math.floor(value));
    if (ms < 2 * MINUTE) return unit(Math.max(ms, 0) / 1000, "second");
    if (ms < 120 * MINUTE) return unit(ms / MINUTE, "minute");
    if (ms < 2 * DAY) return unit(ms / MINUTE / 60, "hour");
    return unit(ms / DAY, "day");
  }

  /** How far the site's clocks are ahead of UTC at `ms`, milliseconds. */
  offset(ms) {
    const part = Object.fromEntries(this.formats.parts.formatToParts(ms).map((p) => [p.type, Number(p.value)]));
    const wall = Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second);
    return wall - Math.floor(ms / 1000) * 1000;
  }
}

/** The zone, if this browser knows it; else UTC, which is then also what is shown. */
export function knownZone(zone) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    return "UTC";
  }
}
