"""Watches over the box and ends it: whatever happens here, the box works or is gone.

Nobody can log in and mend anything, so every failure ends the box, after the reason is in its tags and on the console.
The launch template makes a shutdown a termination.
"""

import datetime
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time

import aws
import boot

INTERRUPTION_EVERY = 5  # what AWS asks for
MARGIN = 10  # of the two minutes of an interruption, for the last word and the shutdown
GPU_IDLE_UNDER = 5  # per cent
DOCKER_SILENT = 120  # seconds without an answer of Docker's, which heavy load explains
LAST_WORD = 256  # what a tag holds


def since_boot():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def seconds(text):
    """A period of the file, `1h30m`; `None` where it is none."""
    found = re.fullmatch("(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?", text.replace(" ", ""))
    if not text.strip() or not found:
        return None
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def limit(tag, text):
    """A limit in seconds, `None` for `none`. The instance's tag goes before the file, unless nobody can read it."""
    if tag == "none":
        return None
    return seconds(tag or "") or seconds(text)


def plain(text):
    """What every tag may hold."""
    return " ".join(re.sub(r"[^\w +\-=.:/@]", " ", text).split())


class Here:
    """Which instance this is, when it was launched, and its limits: its own tags go before the file."""

    def __init__(self, box):
        until = time.monotonic() + 180
        while True:
            try:
                document = json.loads(aws.metadata("dynamic/instance-identity/document"))
                self.id = document["instanceId"]
                launched = datetime.datetime.strptime(document["pendingTime"], "%Y-%m-%dT%H:%M:%SZ")
                self.template = aws.tag("aws:ec2launchtemplate:id")
                tags = {name: aws.tag("spotctl:" + name) for name in ("lifetime", "idle")}
                break
            except (OSError, TypeError, ValueError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)
        self.launched = launched.replace(tzinfo=datetime.timezone.utc).timestamp()
        hard, ready = limit(tags["lifetime"], box["lifetime"]), seconds(box["boot"])
        self.idle = limit(tags["idle"], box["idle"])
        self.end = None if hard is None else self.launched + hard
        # After a reboot the worker has as long to become ready as it had at first; one that was is not asked again.
        begin = max(self.launched, time.time() - since_boot())
        self.boot_end = None if ready is None or os.path.exists(boot.READY) else begin + ready

    def age(self):
        return max(0, round(time.time() - self.launched))


class Over(Exception):
    """The end of this box has been decided meanwhile."""


class Story:
    """Where the box is, told to the console at once and to the instance's tags as soon as AWS takes them."""

    def __init__(self, here, region):
        self.here, self.region = here, region
        self.phase, self.times = "booting", {}
        self.told = threading.Condition()
        self.wanted, self.sent = None, None
        threading.Thread(target=self._tell, daemon=True).start()

    def enter(self, phase):
        with self.told:
            if self.phase.startswith(("draining", "failed")):
                raise Over
            age = self.here.age()
            self.phase = phase
            self.times[phase.split(":")[0]] = age
            print(f"spotctl: {age} s after launch: {phase}", flush=True)
            self.wanted = {"spotctl:phase": plain(phase)[:256], "spotctl:timeline": self.timeline()}
            self.told.notify_all()

    def timeline(self):
        return " ".join(f"{phase}={age}" for phase, age in self.times.items())[:256]

    def _tell(self):
        while True:
            with self.told:
                self.told.wait_for(lambda: self.wanted != self.sent)
                now = self.wanted
            try:
                aws.set_tags(self.region, self.here.id, now, patience=20)
            except Exception as error:  # whatever it is, the next phase must be told
                print(f"spotctl: tagging this instance: {error}", flush=True)
                time.sleep(5)
                continue
            with self.told:
                self.sent = now
                self.told.notify_all()

    def finish(self, patience):
        """The last word, which outlives the instance on its launch template."""
        with self.told:
            self.told.wait_for(lambda: self.wanted == self.sent, timeout=patience)
        try:
            # Read again: it may not have been there in the first seconds.
            template = self.here.template or aws.tag("aws:ec2launchtemplate:id")
        except OSError:
            template = None
        if template:
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            word = f"{self.here.id} {now} {plain(self.phase)} / {self.timeline()}"
            try:
                aws.set_tags(self.region, template, {"spotctl:last": word[:LAST_WORD]}, patience)
            except aws.Failed as error:
                print(f"spotctl: leaving a last word: {error}", flush=True)


# What can end a box. Each runs in a thread of its own and says so once.


def watch_interruption(ends):
    while True:
        try:
            notice = aws.metadata("meta-data/spot/instance-action")
            if notice:
                at = datetime.datetime.strptime(json.loads(notice)["time"], "%Y-%m-%dT%H:%M:%SZ")
                left = at.replace(tzinfo=datetime.timezone.utc).timestamp() - time.time()
                ends.put(("draining:interruption", left - MARGIN))
                return
        except (OSError, ValueError, KeyError):
            pass  # the next look is five seconds away
        time.sleep(INTERRUPTION_EVERY)


def queue_depth(region, url):
    """Messages that wait, are being worked on, or are delayed. `url` may be an ARN."""
    if url.startswith("arn:"):
        _, _, _, region, account, name = url.split(":")
        url = aws.endpoint("sqs", region) + f"{account}/{name}"
    elif url.startswith("https://queue.amazonaws.com/"):
        region = "us-east-1"  # its name of old
    else:
        region = (re.match(r"https://(?:sqs\.)?([a-z0-9-]+)\.(?:queue\.)?amazonaws\.", url) or [None, region])[1]
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    question = {"QueueUrl": url, "AttributeNames": names}
    answer = aws.ask("sqs", region, "AmazonSQS.GetQueueAttributes", question, version="1.0", patience=5)
    return sum(int(answer["Attributes"][name]) for name in names)


def is_gpu_idle():
    """One reading; raises `OSError` where there is none."""
    status, said = boot.quiet("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", timeout=20)
    try:
        if status == 0:
            return all(int(line) < GPU_IDLE_UNDER for line in said.split())
    except ValueError:
        pass  # a GPU that is lost says so where its figure stood
    raise OSError(boot.last_line(said))


def are_queues_empty(box, queues):
    return not any(queue_depth(box["region"], url) for url in queues)


def watch_idle(ends, box, queues, window):
    """Idle is: every reading of the whole window succeeded and found nothing to do. A GPU that cannot be read for as long
    is lost, and with it the worker."""
    if window is None or (box["gpus"] is None and not queues):
        return
    every = min(max(window / 30, 1), 15)
    idle_since = lost_since = None
    while True:
        began = time.monotonic()
        try:
            is_idle = box["gpus"] is None or is_gpu_idle()
            lost_since = None
        except OSError as error:
            is_idle, lost_since = False, lost_since or began
            if time.monotonic() - lost_since >= window:
                ends.put((f"failed:ready:the GPU is lost: {error}", None))
                return
        try:
            is_idle = is_idle and are_queues_empty(box, queues)
        except (OSError, ValueError, KeyError, aws.Failed):
            is_idle = False
        idle_since = (idle_since or began) if is_idle else None
        if idle_since is not None and time.monotonic() - idle_since >= window:
            ends.put(("draining:idle", None))
            return
        time.sleep(every)


def watch_container(ends, story, one, go_on):
    """To `ready`, then to the container's own end."""
    name, up_since, heard = one.box["container"], time.monotonic(), time.monotonic()
    while True:
        try:
            seen = boot.inspect(name)
            heard = time.monotonic()
        except OSError as error:
            if time.monotonic() - heard > DOCKER_SILENT:
                ends.put((f"failed:{story.phase}:Docker does not answer: {error}", None))
                return
            time.sleep(3)
            continue
        if seen is None:
            ends.put((f"failed:{story.phase}:the container is gone", None))
            return
        if not seen["running"]:
            code = seen["exit"]
            why = f"exit status {code}" + (", out of memory" if seen["out_of_memory"] else "")
            ends.put(("draining:done" if code == 0 else f"failed:{story.phase}:{why}", None))
            return
        if seen["health"] == "unhealthy":
            ends.put((f"failed:{story.phase}:unhealthy", None))
            return
        if story.phase == "starting":
            if seen["restarts"]:
                ends.put(("failed:starting:the container was restarted", None))
                return
            if seen["health"] in (None, "healthy") and time.monotonic() - up_since >= boot.SETTLED:
                with open(boot.READY, "w", encoding="utf-8"):
                    pass
                story.enter("ready")
                go_on()
        time.sleep(0.5 if story.phase == "starting" else 3)


def work(ends, box, here, story, found):
    try:
        one = boot.boot(box, story.enter)
        found.append(one)
        if story.phase != "starting":
            story.enter("starting")

        def go_on():
            threading.Thread(
                target=guarded, args=(ends, story, watch_idle, ends, box, one.queues, here.idle), daemon=True
            ).start()

        watch_container(ends, story, one, go_on)
    except boot.Failure as error:
        ends.put((f"failed:{error.phase}:{error.reason}", None))
    except Over:
        pass


def guarded(ends, story, run, *arguments):
    """A mistake of this program ends the box too. Its text is not shown: it could hold a value."""
    try:
        run(*arguments)
    except Exception as error:  # whatever it is
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        file = os.path.basename(place.tb_frame.f_code.co_filename)
        ends.put((f"failed:{story.phase}:{type(error).__name__} in {file} line {place.tb_lineno}", None))


def due(here, story):
    """Limits by the clock."""
    now = time.time()
    if here.end is not None and now >= here.end:
        return "draining:lifetime"
    if story.phase in ("booting", "parameters", "pulling", "starting"):
        if here.boot_end is not None and now >= here.boot_end:
            return f"failed:{story.phase}:not ready within lifetime.boot"
    return None


def end(box, story, found, phase, left):
    """Drains, tells and shuts down; `left` is what an interruption leaves."""
    try:
        drain(box, story, found, phase, left)
    finally:
        shutdown("-h", "now")


def drain(box, story, found, phase, left):
    story.enter(phase)
    stop = box["stop_timeout"] if left is None else max(1, min(box["stop_timeout"], int(left)))
    boot.quiet("docker", "stop", "-t", str(stop), box["container"], timeout=stop + 20)
    if phase.startswith("failed") and found:
        _, log = boot.quiet("docker", "logs", "--tail", "50", box["container"])
        for line in found[0].redact(log).splitlines():
            print(f"spotctl: container: {line}", flush=True)
    print(f"spotctl: {phase}; this box ends now", flush=True)
    story.finish(patience=8)


def shutdown(*arguments):
    """`-h` is a power-off; `halt` would not count as a shutdown."""
    subprocess.run(["shutdown", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def gone(ends):
    """Waits for the system's SIGTERM; a shutdown that does not come is asked for again, at last without asking."""
    for command in (["shutdown", "-h", "now"], ["systemctl", "poweroff", "--force", "--force"]):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if ends.get(timeout=1)[0] == "draining:shutdown":
                    return
            except queue.Empty:
                pass
        subprocess.run(command, check=False)


def ended_by():
    """What `spotctl down` and `spotctl reap` write on the instance before they end it."""
    try:
        said = aws.tag("spotctl:phase") or ""
    except OSError:
        return None
    return said if said in ("draining:down", "draining:reap") else None


def main():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "box.json"), encoding="utf-8") as file:
        box = json.load(file)
    os.umask(0o077)
    ends = queue.SimpleQueue()  # the one whose `put` a signal handler may call
    signal.signal(signal.SIGTERM, lambda *_: ends.put(("draining:shutdown", None)))
    try:
        here = Here(box)
    except Exception as error:  # whatever it is: without its limits this box has no end
        print(f"spotctl: the metadata service does not say who this is: {error}; this box ends now", flush=True)
        shutdown("-h", "now")
        gone(ends)
        return
    if here.end is None:
        shutdown("-c")  # the one that the user data set, by the file
    else:
        # Should this program hang, the system ends the box all the same, a little later.
        shutdown("-h", f"+{max(1, round((here.end - time.time()) / 60) + 5)}")
    story = Story(here, box["region"])
    found = []
    threads = [(watch_interruption, ends), (work, ends, box, here, story, found)]
    for run, *arguments in threads:
        threading.Thread(target=guarded, args=(ends, story, run, *arguments), daemon=True).start()
    while True:
        try:
            phase, left = ends.get(timeout=1)
        except queue.Empty:
            phase, left = due(here, story), None
        if phase == "draining:shutdown":
            # A restart of this program is no end. At a shutdown Docker stops the container, with its own stop timeout.
            if boot.quiet("systemctl", "is-system-running")[1] == "stopping":
                story.enter(ended_by() or phase)
                story.finish(patience=5)
            return
        if phase:
            end(box, story, found, phase, left)
            gone(ends)
            return


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        print(f"spotctl: {type(error).__name__}: {error}", flush=True)
    finally:
        os._exit(0)  # threads that still wait for AWS must not keep systemd from starting this again
