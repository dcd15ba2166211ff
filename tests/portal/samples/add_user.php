<?php
\Bitrix\Main\Loader::includeModule('im');
$chatId = 21441;
$userId = 6;
$hideHistory = false;
$skipMessage = false;
$chat = new \CIMChat;
echo json_encode(['result' => $chat->AddUser($chatId, $userId, $hideHistory, $skipMessage)]);
