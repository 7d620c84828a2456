/** The events of the shop that is open, told to whoever is on the page. */

import { path } from "../js/api.js";
import { follow } from "../js/events.js";

const SOON_MS = 400;

export class Bus {
  constructor() { this.hearers = new Set(); this.stop = () => {}; this.timers = new Map(); this.shop = ""; }

  /** Follow a shop, and no other any more. */
  follow(shop) {
    if (shop === this.shop) return;
    this.stop();
    this.shop = shop;
    this.stop = shop ? follow(path("/api/shops/{}/events", shop), { rest: true, onEvent: (event) => [...this.hearers].forEach((hear) => hear(event)) }) : () => {};
  }

  /** Call `hear(event)` for each event; returns the function that ends that. */
  hear(hear) { this.hearers.add(hear); return () => this.hearers.delete(hear); }

  /** Do it soon and once, however many events ask for it. */
  later(name, act) {
    if (this.timers.has(name)) return;
    this.timers.set(name, setTimeout(() => { this.timers.delete(name); act(); }, SOON_MS));
  }
}
