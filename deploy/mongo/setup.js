// From an empty server to a writable replica set with its users. Each step looks at what is there:
// running it again changes nothing, and a kill in the middle costs nothing. The same steps and rights
// as in crypto_platform/stack/mongo.py, which a test compares.

const ADDRESS = "127.0.0.1:27017";  // without users, mongod obeys nobody but a local client
const DATABASE = "crypto_platform";
const CONFIGURATION = {
  _id: "crypto",
  version: 1,
  members: [{ _id: 0, host: process.env.MONGO_HOST ?? "mongo:27017" }],
  // 10 s and 2 s by default: so long would a restarted node wait for itself.
  settings: { electionTimeoutMillis: 1000, heartbeatIntervalMillis: 200 },
};
const ROLES = {
  migrator: ["dbAdmin", "readWrite"],
  loader: ["readWrite"],
  analyst: ["read"],
};
const WAIT_MS = 60_000;
const ALREADY_INITIALIZED = 23;
const NOT_AUTHORIZED = [13, 18];  // the admin exists, so this was done before

function password(name) {
  const value = process.env[`${name.toUpperCase()}_PASSWORD`];
  if (!value) throw new Error(`${name.toUpperCase()}_PASSWORD is not set`);
  return value;
}

function connectAs(user) {
  const login = user ? `${user}:${encodeURIComponent(password(user))}@` : "";
  return connect(`mongodb://${login}${ADDRESS}/admin?directConnection=true`);
}

function tolerate(codes, action) {
  try {
    action();
  } catch (error) {
    if (!codes.includes(error.code)) throw error;
  }
}

function waitUntilWritable(admin) {
  const deadline = Date.now() + WAIT_MS;
  while (!admin.hello().isWritablePrimary) {
    if (Date.now() > deadline) throw new Error(`no primary within ${WAIT_MS / 1000} s`);
    sleep(200);
  }
}

function ensureUser(admin, user, roles) {
  const pwd = password(user);
  if (admin.getUser(user)) admin.updateUser(user, { pwd, roles });
  else admin.createUser({ user, pwd, roles });
}

const local = connectAs(null);
tolerate([ALREADY_INITIALIZED, ...NOT_AUTHORIZED], () =>
  local.adminCommand({ replSetInitiate: CONFIGURATION }));
waitUntilWritable(local);
tolerate(NOT_AUTHORIZED, () =>
  local.createUser({ user: "admin", pwd: password("admin"), roles: [{ role: "root", db: "admin" }] }));

const admin = connectAs("admin");
for (const [user, rights] of Object.entries(ROLES)) {
  ensureUser(admin, user, rights.map((role) => ({ role, db: DATABASE })));
}
print(`the replica set ${CONFIGURATION._id} is writable and has its users`);
