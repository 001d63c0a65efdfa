// The camera's picture with heat over it. One picture is under way at a time: the next one is taken when the answer to the
// last one has come.
(() => {
  const RATE = 22050; // samples a second, as the model hears
  const CELLS = 32;
  const MOST_SOUND = RATE; // samples that are sent with one picture
  let stop = null;

  async function start(say, canvas) {
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia({ video: { width: 480, height: 270 }, audio: true });
    } catch {
      media = await navigator.mediaDevices.getUserMedia({ video: { width: 480, height: 270 } });
    }
    const video = document.createElement("video");
    video.srcObject = media;
    video.muted = true;
    await video.play();
    const scale = Math.min(1, 480 / Math.max(video.videoWidth, video.videoHeight));
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    const picture = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    const heat = new OffscreenCanvas(CELLS, CELLS).getContext("2d");
    const sound = listen(media, say);
    const scheme = location.protocol === "https:" ? "wss://" : "ws://";
    const socket = new WebSocket(scheme + location.host + "/live");
    socket.binaryType = "arraybuffer";
    const answered = [];

    function send() {
      if (socket.readyState !== WebSocket.OPEN) return;
      picture.drawImage(video, 0, 0, canvas.width, canvas.height);
      const pixels = picture.getImageData(0, 0, canvas.width, canvas.height).data;
      const samples = sound.take();
      const message = new Uint8Array(16 + 4 * samples.length + pixels.length);
      const header = new DataView(message.buffer);
      header.setFloat64(0, performance.now() / 1000, true);
      header.setUint32(8, samples.length, true);
      header.setUint16(12, canvas.width, true);
      header.setUint16(14, canvas.height, true);
      message.set(new Uint8Array(samples.buffer), 16);
      message.set(pixels, 16 + 4 * samples.length);
      socket.send(message);
    }

    socket.onmessage = (event) => {
      if (typeof event.data === "string") return send(); // ready
      show(canvas, picture, heat, event.data);
      const now = performance.now();
      answered.push(now);
      while (answered[0] < now - 2000) answered.shift();
      const rate = (1000 * (answered.length - 1)) / Math.max(1, now - answered[0]);
      if (answered.length > 1) say(`${rate.toFixed(0)} pictures a second`);
      send();
    };
    socket.onclose = (event) => {
      if (event.reason || !answered.length) say(event.reason || "the page does not answer; open it anew");
      finish();
    };
    const finish = () => {
      media.getTracks().forEach((track) => track.stop());
      sound.close();
      if (socket.readyState <= WebSocket.OPEN) socket.close();
      stop = null;
      document.querySelectorAll(".vasal-live-button").forEach((button) => {
        button.textContent = "Turn the camera on";
      });
    };
    return finish;
  }

  function listen(media, say) {
    const silence = { take: () => new Float32Array(0), close: () => {} };
    if (!media.getAudioTracks().length) return silence;
    try {
      const context = new AudioContext({ sampleRate: RATE });
      const source = context.createMediaStreamSource(media);
      const tap = context.createScriptProcessor(512, 1, 1);
      let heard = [];
      tap.onaudioprocess = (event) => heard.push(event.inputBuffer.getChannelData(0).slice());
      source.connect(tap);
      tap.connect(context.destination);
      const take = () => {
        const all = new Float32Array(heard.reduce((sum, piece) => sum + piece.length, 0));
        let at = 0;
        for (const piece of heard) {
          all.set(piece, at);
          at += piece.length;
        }
        heard = [];
        return all.slice(-MOST_SOUND);
      };
      return { take, close: () => context.close() };
    } catch {
      say("this browser cannot give its sound at 22,050 Hz; silence is used");
      return silence;
    }
  }

  function show(canvas, picture, heat, answer) {
    const colours = new ImageData(new Uint8ClampedArray(answer, 0, 4 * CELLS * CELLS), CELLS, CELLS);
    heat.putImageData(colours, 0, 0);
    const shown = canvas.getContext("2d");
    shown.drawImage(picture.canvas, 0, 0);
    shown.drawImage(heat.canvas, 0, 0, canvas.width, canvas.height);
    const faces = new Float32Array(answer, 4 * CELLS * CELLS);
    shown.lineWidth = 2;
    shown.font = "14px system-ui, sans-serif";
    for (let at = 0; at < faces.length; at += 6) {
      const [x1, y1, x2, y2] = [0, 1, 2, 3].map((k) => faces[at + k] * (k % 2 ? canvas.height : canvas.width));
      const said = Math.round(100 * faces[at + 4]) + "%";
      shown.strokeStyle = shown.fillStyle = "#ffffff";
      shown.strokeRect(x1, y1, x2 - x1, y2 - y1);
      shown.fillText(said, x1 + 3, Math.max(14, y1 - 4));
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest(".vasal-live-button");
    if (!button || button.disabled) return;
    if (stop) return stop();
    const part = button.closest(".vasal-live");
    const said = part.querySelector(".vasal-live-said");
    const say = (text) => {
      said.textContent = text;
    };
    button.disabled = true;
    say("asking for the camera, and compiling the first time");
    try {
      stop = await start(say, part.querySelector("canvas"));
      button.textContent = "Turn the camera off";
    } catch (error) {
      say(`there is no camera to be had: ${error.message}`);
    }
    button.disabled = false;
  });
})();
