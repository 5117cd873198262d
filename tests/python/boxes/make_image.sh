#!/usr/bin/env bash
# Makes the image that stands for an EC2 machine and for the AWS beside it: Debian by debootstrap (no image can be
# pulled), with systemd, a real Docker Engine, a registry that holds the worker's image, and a driver that is a stand-in.
#
#   make_image.sh TAG [NAME=VALUE-of-docker-run …]
set -euo pipefail
tag=$1
shift
run=("$@")
here=$(mktemp -d)
maker=spotctl-test-maker-$$
trap 'docker rm --force --volumes "$maker" >/dev/null 2>&1 || true; docker rmi "$maker" >/dev/null 2>&1 || true; rm -rf "$here"' EXIT

packages=systemd,systemd-sysv,dbus,python3,ca-certificates,docker.io,docker-registry,iptables,iproute2,busybox-static,apache2-utils,curl
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
debootstrap --variant=minbase --include="$packages" "$release" "$here/root" >"$here/log" 2>&1 || {
  tail -20 "$here/log"
  exit 1
}
cd "$here/root"
# debootstrap does not resolve what the AWS CLI needs; apt does, with this host's own sources.
cp -r /etc/apt/. etc/apt/
cp /etc/resolv.conf etc/resolv.conf
chroot . sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends awscli' \
  >>"$here/log" 2>&1 || {
  tail -20 "$here/log"
  exit 1
}

# What Deep Learning images bring: the driver's tool, whose answers a test writes into /etc/test-gpu, and the hook by which
# Docker knows that it can hand on a GPU.
mkdir -p etc/test-gpu
echo 'GPU 0: Tesla T4 (UUID: GPU-0)' >etc/test-gpu/list
echo 0 >etc/test-gpu/utilization
cat >usr/bin/nvidia-smi <<'END'
#!/bin/sh
case "$*" in
  -L) if [ -s /etc/test-gpu/list ]; then cat /etc/test-gpu/list; else echo 'No devices were found'; exit 6; fi ;;
  *utilization.gpu*) cat /etc/test-gpu/utilization ;;
  *) exit 64 ;;
esac
END
printf '#!/bin/sh\nexit 0\n' >usr/bin/nvidia-container-runtime-hook
chmod +x usr/bin/nvidia-smi usr/bin/nvidia-container-runtime-hook

mkdir -p etc/docker etc/docker/registry srv/registry
ecr=123456789012.dkr.ecr.us-east-1.amazonaws.com
echo "{\"insecure-registries\": [\"$ecr\", \"registry.test\"]}" >etc/docker/daemon.json
# One store behind three doors: open, ECR's, and a private one.
for door in open:5000: ecr:80:AWS:sandbox-registry-password private:8080:robot:hunter2-secret; do
  IFS=: read -r name port user password <<<"$door"
  {
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: /srv/registry}}\n'
    printf 'http: {addr: "127.0.0.1:%s"}\n' "$port"
    if [[ -n $user ]]; then
      printf 'auth: {htpasswd: {realm: test, path: /etc/docker/registry/%s.htpasswd}}\n' "$name"
      chroot . htpasswd -Bbn "$user" "$password" >"etc/docker/registry/$name.htpasswd"
    fi
  } >"etc/docker/registry/$name.yml"
done
# Only what a test starts.
chroot . systemctl mask -q docker-registry.service apt-daily.timer apt-daily-upgrade.timer systemd-timesyncd.service

tar -c . | docker import - "$maker" >/dev/null
docker run --detach --name "$maker" --network none "${run[@]}" "$maker" /sbin/init >/dev/null
docker exec "$maker" bash -euc '
  for _ in $(seq 60); do docker info >/dev/null 2>&1 && break; sleep 0.5; done
  docker-registry serve /etc/docker/registry/open.yml >/dev/null 2>&1 &
  mkdir -p /tmp/worker/bin /tmp/worker/tmp
  cp /bin/busybox /tmp/worker/bin/
  for name in sh cat sleep env kill true false touch echo test trap date mkdir; do
    ln -s busybox "/tmp/worker/bin/$name"
  done
  tar -C /tmp/worker -c . | docker import --change "ENV PATH=/bin" - 127.0.0.1:5000/worker:1
  for _ in $(seq 60); do docker push -q 127.0.0.1:5000/worker:1 && break; sleep 0.5; done
  kill %1
' >"$here/log" 2>&1 || {
  tail -20 "$here/log"
  exit 1
}
docker commit "$maker" "$tag" >/dev/null
