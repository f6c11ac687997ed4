package dev.lfo.host

import android.app.Notification
import android.app.NotificationChannel
import android.app.NotificationManager
import android.app.PendingIntent
import android.content.Context
import android.content.Intent
import android.content.pm.ServiceInfo
import android.net.wifi.WifiManager
import android.os.Build
import com.facebook.react.HeadlessJsTaskService
import com.facebook.react.bridge.Arguments
import com.facebook.react.jstasks.HeadlessJsTaskConfig

/**
 * Keeps the phone serving with its screen off. The JavaScript that serves runs as its headless task, since the timers of
 * React Native stop in the background without one. Holds the Wi-Fi and multicast locks while it lives.
 */
class HostService : HeadlessJsTaskService() {
  private var wifiLock: WifiManager.WifiLock? = null
  private var multicastLock: WifiManager.MulticastLock? = null
  private var hasTask = false

  override fun onStartCommand(intent: Intent?, flags: Int, startId: Int): Int {
    if (intent?.action == ACTION_STOP) {
      // The JavaScript ends its links with a word and then stops the service; without any it stops at once.
      if (!HostEvents.stopPressed()) stopSelf()
      return START_NOT_STICKY
    }
    val text = intent?.getStringExtra(EXTRA_TEXT) ?: "Starting"
    val notification = notificationOf(this, text)
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q)
      startForeground(NOTIFICATION_ID, notification, ServiceInfo.FOREGROUND_SERVICE_TYPE_CONNECTED_DEVICE)
    else startForeground(NOTIFICATION_ID, notification)
    holdLocks()
    if (!hasTask) {
      hasTask = true
      startTask(HeadlessJsTaskConfig(TASK, Arguments.createMap(), 0, true))
    }
    return START_STICKY
  }

  override fun onDestroy() {
    wifiLock?.release()
    multicastLock?.release()
    isRunning = false
    super.onDestroy()
  }

  private fun holdLocks() {
    isRunning = true
    if (wifiLock != null) return
    val wifi = applicationContext.getSystemService(Context.WIFI_SERVICE) as WifiManager
    @Suppress("DEPRECATION")
    val mode =
      if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) WifiManager.WIFI_MODE_FULL_LOW_LATENCY
      else WifiManager.WIFI_MODE_FULL_HIGH_PERF
    wifiLock = wifi.createWifiLock(mode, "lfo:host").apply { setReferenceCounted(false); acquire() }
    multicastLock = wifi.createMulticastLock("lfo:host").apply { setReferenceCounted(false); acquire() }
  }

  companion object {
    private const val TASK = "LfoHost"
    private const val CHANNEL = "serving"
    private const val NOTIFICATION_ID = 4870
    private const val ACTION_STOP = "dev.lfo.host.STOP"
    private const val EXTRA_TEXT = "text"

    @Volatile
    var isRunning = false
      private set

    /** Starts the service, or gives its notification another text. */
    fun show(context: Context, text: String) {
      if (isRunning) {
        val manager = context.getSystemService(Context.NOTIFICATION_SERVICE) as NotificationManager
        manager.notify(NOTIFICATION_ID, notificationOf(context, text))
        return
      }
      val intent = Intent(context, HostService::class.java).putExtra(EXTRA_TEXT, text)
      if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O) context.startForegroundService(intent)
      else context.startService(intent)
    }

    fun hide(context: Context) {
      context.stopService(Intent(context, HostService::class.java))
    }

    private fun notificationOf(context: Context, text: String): Notification {
      val manager = context.getSystemService(Context.NOTIFICATION_SERVICE) as NotificationManager
      if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O)
        manager.createNotificationChannel(
          NotificationChannel(CHANNEL, "Serving", NotificationManager.IMPORTANCE_LOW)
        )
      val stop = PendingIntent.getService(
        context,
        0,
        Intent(context, HostService::class.java).setAction(ACTION_STOP),
        PendingIntent.FLAG_IMMUTABLE,
      )
      val open = context.packageManager.getLaunchIntentForPackage(context.packageName)?.let {
        PendingIntent.getActivity(context, 0, it, PendingIntent.FLAG_IMMUTABLE)
      }
      @Suppress("DEPRECATION")
      val builder =
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O) Notification.Builder(context, CHANNEL)
        else Notification.Builder(context)
      return builder
        .setSmallIcon(android.R.drawable.stat_sys_upload_done)
        .setContentTitle("LFO Host")
        .setContentText(text)
        .setContentIntent(open)
        .setOngoing(true)
        .setOnlyAlertOnce(true)
        .addAction(Notification.Action.Builder(null, "Stop", stop).build())
        .build()
    }
  }
}
