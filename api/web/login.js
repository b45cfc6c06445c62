// Who looks at the page: an access token for a while, and how to get the next.
//
// Both tokens stay in this tab. A refresh token is good once, so only one request
// for the next runs at a time.

const ANSWER_MS = 10_000;
const ACCESS = "animov-token";
const REFRESH = "animov-refresh";

let renewing = null;

const authorization = () => `Bearer ${sessionStorage.getItem(ACCESS)}`;

export const carrying = () => sessionStorage.getItem(ACCESS) !== null;

/** The headers that say who asks. */
export const headers = () => (carrying() ? { authorization: authorization() } : {});

export function forget() {
  sessionStorage.removeItem(ACCESS);
  sessionStorage.removeItem(REFRESH);
}

/** Keeps a token, or the tokens of a login. */
export async function logIn(username, secret) {
  if (username === "") {
    forget();
    sessionStorage.setItem(ACCESS, secret.trim());
    return { status: 200 };
  }
  try {
    return await tokens({ grant_type: "password", username, password: secret });
  } catch {
    return { status: 0 };
  }
}

/** Whether there is another token now than the one that was `refused`. */
export function renew(refused) {
  if (carrying() && refused !== authorization()) return true;
  const refresh_token = sessionStorage.getItem(REFRESH);
  if (refresh_token === null) return false;
  renewing ??= tokens({ grant_type: "refresh_token", refresh_token })
    .then(({ status }) => {
      // Refused for good; any other failure may pass.
      if (status !== 200 && status !== 401) throw new Error(`HTTP ${status}`);
      return status === 200;
    })
    .finally(() => { renewing = null; });
  return renewing;
}

/** Ends the login, as far as the server can be told. */
export async function leave() {
  const refresh_token = sessionStorage.getItem(REFRESH);
  forget();
  if (refresh_token !== null) await post("v1/auth/revoke", { refresh_token }).catch(() => {});
}

async function tokens(body) {
  const response = await post("v1/auth/token", body);
  const { status } = response;
  if (status === 200) {
    const { access_token, refresh_token } = await response.json();
    sessionStorage.setItem(ACCESS, access_token);
    sessionStorage.setItem(REFRESH, refresh_token);
  }
  return { status, minutes: Math.ceil(Number(response.headers.get("retry-after") ?? 60) / 60) };
}

const post = (path, body) => fetch(path, {
  method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" },
  cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS),
});
