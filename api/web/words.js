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
