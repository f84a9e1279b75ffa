// A conversation by the JavaScript client that Rasa's web widgets use: what it hears goes to standard output as JSON.
const { io } = require("socket.io-client");

const [address, transport] = process.argv.slice(2);
const socket = io(address, { path: "/socket.io", transports: [transport] });
const heard = [];
let session = null;

function say(message) {
  socket.emit("user_uttered", { message, session_id: session, customData: { language: "en" } });
}

socket.on("connect", () => socket.emit("session_request", { session_id: session }));
socket.on("session_confirm", (id) => {
  if (session === null) {
    session = id;
    say("greet");
    say("weather");
  } else {
    heard.push({ again: id === session });
    say("bye");
  }
});
socket.on("bot_uttered", (message) => {
  heard.push(message);
  if (message.quick_replies) {
    socket.disconnect().connect();
  } else if (message.text === "Bye.") {
    process.stdout.write(JSON.stringify({ session, heard }), () => process.exit(0));
  }
});
socket.on("connect_error", (error) => {
  console.error(error.message);
  process.exit(1);
});
setTimeout(() => process.exit(2), 30000).unref();
